"""What is checked of a command line as a whole, before the command that it names runs."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import isfile, samefile  # pathlib raises for a text too long for a name
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from edgekit.cli.console import STDOUT, say
from edgekit.errors import BadInput

_MAY_BE_EMPTY = frozenset({"--point", "--box", "--text"})
"""Options that explain an empty value themselves."""

_WRITTEN = frozenset({"--json", "--out", "--picture", "--plot"})
"""Options whose file a command writes. `--card` changes a file that it reads."""


class _TellsOfRepeats:
    """Tells of an option with one value that is given twice.

    The last value counts, so that a script can append what it overrides. A file to write is refused
    twice, since one of the two would not be written.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command's own arguments."""
        command: Any = super()
        values, _, given = command.make_parser(ctx).parse_args(args=list(args))
        for param in dict.fromkeys(given):
            if _has_one_value(param) and given.count(param) > 1:
                _tell_of_repeat(max(param.opts, key=len), values[param.name])
        parsed: list[str] = command.parse_args(ctx, args)
        return parsed


class Command(_TellsOfRepeats, TyperCommand):
    """A command of edgekit."""


class Group(_TellsOfRepeats, TyperGroup):
    """A command of edgekit that has commands of its own."""


def _tell_of_repeat(option: str, last: str) -> None:
    if option not in _WRITTEN:
        say(f"Warning: {option} is given more than once; {last} is used.", err=True)
        return
    raise BadInput(
        f"{option} is given more than once.",
        expected="one file to write",
        next_step="leave the others out, or run the command once for each",
    )


def _has_one_value(param: Any) -> bool:
    is_option = param.param_type_name == "option"
    return is_option and not (param.multiple or param.count or param.is_flag)


def with_json_files(args: list[str]) -> list[str]:
    """A command line in which every `--json` has a value: the .json file after it, or STDOUT."""
    result: list[str] = []
    for arg in args:
        if result and result[-1] == "--json" and (arg == STDOUT or arg.lower().endswith(".json")):
            result[-1] = f"--json={arg}"
        else:
            result.append(arg)
    return [f"--json={STDOUT}" if arg == "--json" else arg for arg in result]


def check_arguments(args: list[str]) -> None:
    """Refuse arguments that no command could mean.

    Raises:
        BadInput: one can name no file, or a file would be written over one that is read.
    """
    _require_names(args)
    _require_other_files(args)


def _require_names(args: list[str]) -> None:
    """Refuse arguments that are empty, have a NUL character, or are not UTF-8."""
    for before, argument in zip(["", *args], args, strict=False):
        if "\0" in argument or not _is_unicode(argument):
            from edgekit.store import printable

            raise BadInput(
                f"The argument '{printable(argument)}' holds characters that are not UTF-8 text.",
                expected="names in UTF-8",
                next_step="rename the file or folder",
            )
        option, _, value = argument.rpartition("=") if argument.startswith("--") else ("", "", "")
        empty = option if option and not value else before
        if not (argument and (value or not option)) and empty not in _MAY_BE_EMPTY:
            raise _empty_value(empty)


def _require_other_files(args: list[str]) -> None:
    """Refuse to write a file that the command line names a second time, such as its photo."""
    named = list(_named(args))
    for place, (option, name) in enumerate(named):
        if option not in _WRITTEN or not isfile(name):
            continue
        for _, other in (*named[:place], *named[place + 1 :]):
            if isfile(other) and samefile(name, other):
                raise BadInput(
                    f"{option} would write over '{other}', which this command is given too.",
                    expected="the name of another file",
                    next_step=f"{option} {Path(name).with_stem(Path(name).stem + '-result')}",
                )


def _named(args: list[str]) -> Iterator[tuple[str, str]]:
    """The values of a command line, each with its option or the empty text."""
    for before, argument in zip(["", *args], args, strict=False):
        if argument.startswith("--"):
            option, _, value = argument.partition("=")
            yield option, value
        else:
            yield before if before.startswith("--") and "=" not in before else "", argument


def _empty_value(option: str) -> BadInput:
    return BadInput(
        f"The value of {option} is empty." if option[:2] == "--" else "An argument is empty.",
        expected="a name",
        next_step="check the command line: a shell variable in it may not be set",
    )


def _is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogates, by which Python spells bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
