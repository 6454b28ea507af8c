"""Bounds on the numbers of a record, so that none of them can exhaust memory or time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

Bounds = Mapping[str, tuple[float, float]]

_BOUNDS: Bounds = {
    "opset": (1, 100),
    "memory_mb": (1, 10_000_000),
    "prompt_slots": (1, 1024),
    "prompt_batches": (1, 1024),
    "max_points": (1, 1024),
    "prompts": (0, 10_000_000),
    "shape": (-(10**9), 2**24),
    "sizes": (1, 2**24),
    "ops": (0, 10_000_000),
    "macs": (0, 10**18),
    "weights": (0, 2**50),
    "activations": (0, 2**50),
    "bytes": (0, 2**50),
    "seed": (0, 2**64),
    "files": (0, 10_000),
    "tensors": (1, 10_000_000),
    "head": (0, 1000),
    "product_db": (0, 1000),
    "function_db": (0, 1000),
    "mean": (-1e6, 1e6),
    "std": (-1e6, 1e6),
    "snap": (0, 1e6),
    "offset": (0, 1e6),
    "stability_offset": (0, 1e6),
    "threshold": (-1e6, 1e6),
    "clamp": (0, 1e6),
    "label_codes": (-100, 100),
}
"""The least and the largest value of each field, by its name."""

_OTHERS = (-(10**9), 10**9)
"""For fields that the table does not name; `contradictions` knows narrower bounds of some."""

_LARGEST_TENSOR = 2**31  # elements: 8 GiB of float32
_MOST_AXES = 8


def out_of_bounds(record: object, also: Bounds | None = None) -> Iterator[str]:
    """One line for each field of a record that holds a number outside its bounds.

    `also` has the least and the largest value of fields that bundles do not have.
    """
    yield from dict.fromkeys(_in_value(record, "", {**_BOUNDS, **(also or {})}))


def _in_value(value: object, path: str, bounds: Bounds) -> Iterator[str]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _in_value(
                getattr(value, field.name), f"{path}.{field.name}".lstrip("."), bounds
            )
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _in_value(item, path, bounds)
    elif isinstance(value, tuple):
        yield from _in_tuple(value, path, bounds)
    elif isinstance(value, int | float):
        yield from _in_number(value, path, bounds)


def _in_tuple(values: tuple[object, ...], path: str, bounds: Bounds) -> Iterator[str]:
    for item in values:
        yield from _in_value(item, path, bounds)
    if path.endswith(".shape"):
        elements = 1
        for size in values:
            elements *= size if isinstance(size, int) else 1
        if len(values) > _MOST_AXES or elements > _LARGEST_TENSOR:
            yield f"{path}: must have at most {_MOST_AXES} axes and {_LARGEST_TENSOR} elements"


def _in_number(number: float, path: str, bounds: Bounds) -> Iterator[str]:
    least, largest = bounds.get(path.rpartition(".")[2], _OTHERS)
    if number < least:
        yield f"{path}: must be at least {least:g}"
    elif number > largest:
        yield f"{path}: must be at most {largest:,.0f}"
