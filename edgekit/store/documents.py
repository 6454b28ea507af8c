"""Records from JSON, with strict types and no unknown keys. All errors are located and collected.

pydantic's TypeAdapter reads the plain dataclasses of `edgekit.records`. The adapter is for a tuple
of one record: pydantic refuses a configuration for a dataclass, but accepts one for a tuple and
applies it to the standard-library dataclasses inside.
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
    """A document does not hold the expected record. The caller names the document."""

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

    Types are strict (neither "1" nor true is accepted for 1), and floats must be finite.

    Raises:
        Malformed: the text is not such a record; one line per error, "key.subkey: reason".
    """
    from pydantic import ValidationError

    try:
        adapter: TypeAdapter[tuple[T]] = _adapter(cast(Any, kind), unknown_keys)
        return adapter.validate_json(b"[" + text + b"]")[0]
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise Malformed(tuple(map(_located, _of_best_fit(details)))) from error


@cache
def _adapter(kind: Any, unknown_keys: Literal["forbid", "ignore"]) -> TypeAdapter[tuple[Any]]:
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(extra=unknown_keys, strict=True, allow_inf_nan=False)
    one_tuple: Any = GenericAlias(tuple, (kind,))
    return TypeAdapter(one_tuple, config=config)


def escaped(text: str, *, keep: str = "\n") -> str:
    """Untrusted text made safe for a terminal: characters that do not print become escapes.

    Those are control characters, marks that turn the direction of writing, and bytes that are not
    UTF-8. The characters of `keep` stay.
    """
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def printable(text: str) -> str:
    """Untrusted text made safe for a message: one short line, control characters escaped."""
    line = escaped(text, keep="")
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _of_best_fit(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors of the record type that fits best.

    For a union of records, pydantic lists the errors of each type under the type's name. The type
    with the fewest errors is most likely the intended one.
    """
    counts = Counter(filter(None, map(_record_type, details)))
    if not counts:
        return details
    best = min(counts, key=counts.__getitem__)
    return [detail for detail in details if _record_type(detail) in (None, best)]


def _record_type(detail: ErrorDetails) -> str | None:
    """The record type in the error's location; None unless a union was read."""
    return next((str(step) for step in detail["loc"] if _is_record(step)), None)


def _is_record(step: str | int) -> bool:
    return isinstance(step, str) and is_dataclass(getattr(records, step, None))


def _located(detail: ErrorDetails) -> str:
    reason = {
        "unexpected_keyword_argument": "unknown key",
        "missing": "missing",
        "missing_keyword_only_argument": "missing",
        "dataclass_type": "expected an object",
        "tuple_type": "expected a list",
        "string_type": "expected text",
    }.get(detail["type"], detail["msg"])
    where = ".".join(str(step) for step in detail["loc"][1:] if not _is_record(step))
    return f"{where}: {reason}" if where else reason


def write_records(path: Path, rows: tuple[T, ...]) -> None:
    """Write records as a JSON list that `read_records` reads. Paths become strings."""
    text = json.dumps([asdict(record) for record in rows], indent=2, default=str)  # type: ignore[call-overload]
    write_atomic(path, text + "\n")


def read_records(path: Path, kind: type[T]) -> tuple[T, ...]:
    """Read records of type `kind` that `write_records` wrote.

    Raises:
        Malformed: as `record_from_json`.
    """
    listed: Any = GenericAlias(tuple, (kind, ...))
    read: tuple[T, ...] = record_from_json(listed, path.read_bytes())
    return read
