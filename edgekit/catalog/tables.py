"""Find edgekit's TOML tables and read them into records."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from edgekit.errors import BadInput, RuntimeMissing, UnknownName
from edgekit.store import Malformed, record_from_json, utf8_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

_RECURSION = 1000  # Python's own; a table is nested three deep
_MOST_BYTES = 2**20

_PACKAGE = Path(__file__).resolve().parents[1]


def table_dir(kind: Literal["targets", "calibration"]) -> Path:
    """The folder of a kind of table: `edgekit/_data` in a wheel, otherwise the repository's root.

    Raises:
        RuntimeMissing: neither exists.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (root / kind).is_dir():
            return root / kind
    raise RuntimeMissing(
        f"edgekit's own {kind}/ is missing from {_PACKAGE}",
        next_step="install edgekit again: pip install --force-reinstall edgekit",
    )


def names_in(kind: Literal["targets", "calibration"]) -> tuple[str, ...]:
    """The names of the tables of a kind, sorted."""
    return tuple(sorted(file.stem for file in table_dir(kind).glob("*.toml")))


def record_from_toml(kind: type[T], path: Path) -> T:
    """Read one record from a TOML file.

    Raises:
        Malformed: one line per error, with the file and the key.
    """
    try:
        text = utf8_of(path, most_bytes=_MOST_BYTES).decode()
        with _shallow_recursion():
            document = json.dumps(tomllib.loads(text), default=str)
        return record_from_json(kind, document.encode())
    except Malformed as error:
        raise Malformed(tuple(f"{path.name}: {line}" for line in error.problems)) from error
    except RecursionError as error:
        raise Malformed((f"{path.name}: its values are nested too deep",)) from error
    except UnicodeDecodeError as error:
        raise Malformed((f"{path.name}: not UTF-8 at byte {error.start + 1}",)) from error
    except ValueError as error:  # TOMLDecodeError is one
        raise Malformed((f"{path.name}: {error}",)) from error
    except OSError as error:
        raise Malformed((f"{path.name}: {error.strerror}",)) from error


@contextmanager
def _shallow_recursion() -> Iterator[None]:
    """Python's own limit inside the block. Where a package has raised it, json and, before Python
    3.11, tomllib would overflow the C stack on nested values and kill the process."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(min(before, _RECURSION))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def unknown_name(
    kind: str, name: str, *, known: Iterable[str], command: str, also: Iterable[str] = ()
) -> UnknownName:
    """The error for an unknown name, with the nearest known ones. `also` are suggested too."""
    known = sorted(known)
    near = difflib.get_close_matches(name, [*known, *also], n=3, cutoff=0.5)
    return UnknownName(
        f"there is no {kind} {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""),
        expected=", ".join(known),
        next_step=command,
    )


def unreadable_tables(problems: tuple[str, ...], *, where: Path) -> BadInput:
    """The error for tables that cannot be read."""
    return BadInput(
        f"{where}: {Malformed(problems)}",
        next_step="correct the file, or install edgekit again",
    )
