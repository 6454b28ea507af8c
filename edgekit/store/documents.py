"""JSON to records: strict types, unknown keys refused, every error located and collected.

pydantic's TypeAdapter reads the plain dataclasses of `edgekit.records`. The adapter is made over a
one-tuple of the record because pydantic takes a configuration only for a type that is not itself a
dataclass, and hands it down to the standard-library dataclasses inside.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from edgekit import records
from edgekit.store.folders import write_atomic

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

T = TypeVar("T")

_SHOWN = 8
_LONGEST = 240


class Malformed(ValueError):
    """A document that does not hold the record it should; the caller names the document."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        shown = [printable(problem) for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            shown.append(f"and {len(problems) - _SHOWN} more")
        super().__init__("; ".join(shown))


def record_from_json(
    kind: type[T], text: bytes, *, unknown_keys: Literal["forbid", "ignore"] = "forbid"
) -> T:
    """Read one record from JSON text.

    Types are strict (no "1" for 1, no true for 1) and floats finite.

    Raises:
        Malformed: with one line per error, "key.subkey: reason".
    """
    from pydantic import ValidationError

    try:
        adapter: TypeAdapter[tuple[T]] = _adapter(cast(Any, kind), unknown_keys)
        return adapter.validate_json(b"[" + text + b"]")[0]
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise Malformed(tuple(map(_located, _of_likeliest(details)))) from error


@cache
def _adapter(kind: Any, unknown_keys: Literal["forbid", "ignore"]) -> TypeAdapter[tuple[Any]]:
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(extra=unknown_keys, strict=True, allow_inf_nan=False)
    one_tuple: Any = GenericAlias(tuple, (kind,))
    return TypeAdapter(one_tuple, config=config)


def printable(text: str) -> str:
    """Untrusted text for a message: one short line, control characters escaped."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _of_likeliest(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Where one of several records may stand, pydantic lists the errors of each under its name:
    those of the record with the fewest are kept."""
    counts = Counter(filter(None, map(_named, details)))
    if not counts:
        return details
    likeliest = min(counts, key=counts.__getitem__)
    return [detail for detail in details if _named(detail) in (None, likeliest)]


def _named(detail: ErrorDetails) -> str | None:
    """The record that the error's location names, if there was a choice."""
    return next((str(step) for step in detail["loc"] if _is_record(step)), None)


def _is_record(step: str | int) -> bool:
    return isinstance(step, str) and is_dataclass(getattr(records, step, None))


def _located(detail: ErrorDetails) -> str:
    reason = {
        "unexpected_keyword_argument": "unknown key",
        "missing": "missing",
        "missing_keyword_only_argument": "missing",
    }.get(detail["type"], detail["msg"])
    where = ".".join(str(step) for step in detail["loc"][1:] if not _is_record(step))
    return f"{where}: {reason}" if where else reason


def write_records(path: Path, written: tuple[T, ...]) -> None:
    """Write records as a JSON list, for `read_records`. Paths become strings."""
    text = json.dumps([asdict(record) for record in written], indent=2, default=str)  # type: ignore[call-overload]
    write_atomic(path, text + "\n")


def read_records(path: Path, kind: type[T]) -> tuple[T, ...]:
    """Read what `write_records` wrote.

    Raises:
        Malformed: as `record_from_json`.
    """
    listed: Any = GenericAlias(tuple, (kind, ...))
    read: tuple[T, ...] = record_from_json(listed, path.read_bytes())
    return read
