"""A target's compile options: its own, or the runtime's defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import BadInput
from edgekit.records import Artifact, Target
from edgekit.store import printable

WORKSPACE = "workspace_mb"


def option(target: Target, name: str) -> str | None:
    """The value of a compile option; None if neither the target nor its runtime sets it."""
    return target.options.get(name, runtime_row(target.runtime).options.get(name))


def rising_numbers(target: Target, name: str, count: int) -> tuple[int, ...]:
    """The numbers in an option such as "1 4 64" (smallest, usual, largest).

    Raises:
        BadInput: the option is missing, or is not `count` whole numbers in rising order.
    """
    text = option(target, name) or ""
    numbers = [int(word) for word in text.split() if re.fullmatch("[1-9][0-9]{0,6}", word)]
    if len(numbers) != count or len(text.split()) != count or numbers != sorted(numbers):
        raise BadInput(
            f"Target {target.name}: options.{name} is {text!r}.",
            expected=f"{count} whole number(s) from 1 up, in rising order",
            next_step=f"set it in {target.name}.toml",
        )
    return tuple(numbers)


def refused_of(target: Target, artifact: Artifact) -> tuple[str, ...]:
    """As `refused_options`, for all options that a bundle gives the runtime of one artifact."""
    options = (*target.options.items(), *artifact.options.items())
    return tuple(
        problem
        for name, value in dict.fromkeys(options)
        for problem in refused_options(target.runtime, {name: value})
    )


def refused_options(runtime: str, options: Mapping[str, str]) -> Iterator[str]:
    """One line for each option that the runtime does not take from a target or bundle.

    Raises:
        NotYet: there is no such runtime.
    """
    row = runtime_row(runtime)
    for name, value in options.items():
        pattern = row.takes_options.get(name)
        if pattern is None:
            known = ", ".join(row.takes_options) or "none"
            yield f"options.{printable(name)}: is not an option of {row.title} ({known})"
        elif not re.fullmatch(pattern, value):
            yield f"options.{name}: {printable(value)!r} is not a value of this option"
