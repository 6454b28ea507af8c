"""The edgekit commands of a cell: `export`, `verify` and `bench`, in this order.

They are the commands that a user types, so that a result tells how to repeat it, and so that a
fleet can run each of them where it belongs: an export needs PyTorch, the others need the device.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from edgekit.matrix.cells import Cell, Measure, StepName

BENCH_ROUNDS = 7
"""Counted calls per task: enough for a median, and for the spread that a comparison needs."""

FOLDER = "dist"
"""Where bundles are made by a user, as in `edgekit export`."""


def commands_of(cell: Cell, folder: str = FOLDER) -> dict[StepName, tuple[str, ...]]:
    """The words after `edgekit` of each step; bundles are made in `folder`. Each prints JSON."""
    return dict(_commands(cell, folder))


def _commands(cell: Cell, folder: str) -> Iterator[tuple[StepName, tuple[str, ...]]]:
    bundle = f"{folder}/{cell.model}-{cell.target}"
    weights = tuple(word for value in cell.weights for word in ("--weights", value))
    photos = ("--photos", cell.photos) if cell.photos else ()
    made = ("--out", folder, "--no-verify", "--json")
    yield "export", ("export", cell.model, "--target", cell.target, *weights, *made)
    yield "verify", ("verify", bundle, *photos, *weights, "--json", "-", "--picture", "-")
    if Measure.BENCH in cell.measures:
        rounds = ("--rounds", str(BENCH_ROUNDS), "--json")
        yield "bench", ("bench", bundle, *_against(cell), *rounds)


def _against(cell: Cell) -> tuple[str, ...]:
    """PyTorch in the same run, unless its weights are files, which `bench` does not take."""
    files = any(os.path.exists(value.partition("#")[0]) for value in cell.weights)
    return () if files else ("--against", "pytorch")
