"""The edgekit commands of a cell: `export`, `verify`, `bench` and `evaluate`, in this order.

They are the commands that a user types, so that a result tells how to repeat it, and so that a
fleet can run each of them where it belongs: an export needs PyTorch, the others need the device.
Where these are two machines, `record` takes PyTorch's answers to the device, and `bench` has no
PyTorch to compare with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from edgekit.matrix.cells import Cell, Measure, StepName

BENCH_ROUNDS = 7
"""Counted calls per task: enough for a median, and for the spread that a comparison needs."""

_ROUNDS = ("--rounds", str(BENCH_ROUNDS), "--json")

RECORDING = "reference.zip"
"""The file of `edgekit record`, beside the bundle."""

FOLDER = "dist"
"""Where bundles are made by a user, as in `edgekit export`."""


def commands_of(cell: Cell, folder: str = FOLDER) -> dict[StepName, tuple[str, ...]]:
    """The words after `edgekit` of each step; bundles are made in `folder`. Each prints JSON."""
    return dict(_commands(cell, folder))


def maker_commands(cell: Cell, folder: str = FOLDER) -> dict[StepName, tuple[str, ...]]:
    """The steps of a cell up to its bundle, for a device that is another machine."""
    options = ("--out", f"{folder}/{RECORDING}")
    record = ("record", _bundle(cell, folder), *_photos(cell), *_weights(cell), *options)
    return {"export": commands_of(cell, folder)["export"], "record": record}


def device_commands(
    cell: Cell, folder: str = FOLDER, *, photos: str | None
) -> dict[StepName, tuple[str, ...]]:
    """The steps of a cell on a device without PyTorch; `photos` are where the device has them."""
    there = replace(cell, weights=(), photos=photos)
    commands = commands_of(there, folder)
    del commands["export"]
    commands["verify"] += ("--reference", f"{folder}/{RECORDING}")
    if cell.timed:
        commands["bench"] = ("bench", _bundle(cell, folder), *_ROUNDS)
    return commands


def _commands(cell: Cell, folder: str) -> Iterator[tuple[StepName, tuple[str, ...]]]:
    bundle, weights, photos = _bundle(cell, folder), _weights(cell), _photos(cell)
    made = ("--out", folder, "--no-verify", "--json")
    yield "export", ("export", cell.model, "--target", cell.asked_target, *weights, *made)
    yield "verify", ("verify", bundle, *photos, *weights, "--json", "-", "--picture", "-")
    if cell.timed:
        yield "bench", ("bench", bundle, *_against(cell), *_ROUNDS)
    if Measure.EVALUATE in cell.measures and cell.photos:
        yield "evaluate", ("evaluate", bundle, cell.photos, "--survey", "--json", "-")


def _bundle(cell: Cell, folder: str) -> str:
    return f"{folder}/{bundle_name(cell)}"


def bundle_name(cell: Cell) -> str:
    """The name of the folder that `edgekit export` makes."""
    return f"{cell.model}-{cell.target}"


def _weights(cell: Cell) -> tuple[str, ...]:
    return tuple(word for value in cell.weights for word in ("--weights", value))


def _photos(cell: Cell) -> tuple[str, ...]:
    return ("--photos", cell.photos) if cell.photos else ()


def _against(cell: Cell) -> tuple[str, ...]:
    """PyTorch in the same run, unless its weights are files, which `bench` does not take."""
    files = any(os.path.exists(value.partition("#")[0]) for value in cell.weights)
    return () if files else ("--against", "pytorch")
