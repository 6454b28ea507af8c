"""What a device needs of a cell, in one .zip: the bundle, PyTorch's answers, and the photos.

It is made where PyTorch is. A device that runs it needs neither PyTorch nor the weights.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from edgekit import catalog
from edgekit.matrix.cells import Cell, StepRun
from edgekit.matrix.fleets.turns import run_in_turns, turn, workplace
from edgekit.matrix.leash import leashed
from edgekit.matrix.process import Limits
from edgekit.matrix.steps import RECORDING, bundle_name, maker_commands
from edgekit.store import user_path

_PHOTOS = "photos"
_ANNOTATIONS = f"{_PHOTOS}/annotations.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """The steps that made a bundle, and the archive; None if one of them failed."""

    runs: tuple[StepRun, ...]
    archive: Path | None

    @property
    def seconds(self) -> float:
        """What it took to make."""
        return sum(run.step.seconds for run in self.runs)


@contextmanager
def parcel_of(cell: Cell, *, limits: Limits, stop: Event) -> Iterator[Parcel]:
    """Export a cell's bundle and record the reference, while no cell is timed on this machine.

    The archive is removed at the end.

    Raises:
        BadInput: the cache cannot be written, or the photos cannot be read.
    """
    with workplace(cell) as folder:
        commands = maker_commands(cell, str(folder))
        processes = {name: leashed(command) for name, command in commands.items()}
        told = maker_commands(cell)
        with turn(folder, stop, timed=False):
            runs = tuple(run_in_turns(processes, told, folder, limits=limits, stop=stop))
        made = len(runs) == len(commands) and all(run.step.exit_code == 0 for run in runs)
        yield Parcel(runs=runs, archive=_packed(cell, folder) if made else None)


def _packed(cell: Cell, folder: Path) -> Path:
    """The archive of a folder in which a bundle and a recording were made. Weights and photos
    hardly compress."""
    path = folder / "parcel.zip"
    with zipfile.ZipFile(path, "w") as archive:
        bundle = folder / bundle_name(cell)
        for file in sorted(file for file in bundle.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(folder))
        archive.write(folder / RECORDING, RECORDING)
        if cell.photos:
            _add_photos(archive, user_path(Path(cell.photos)))
    shutil.rmtree(bundle)
    return path


def _add_photos(archive: zipfile.ZipFile, source: Path) -> None:
    """The photos under their names within the set, which decide about their prompts."""
    annotated = source.suffix.lower() == ".json"
    folder = f"{_PHOTOS}/images" if annotated else _PHOTOS
    for photo in catalog.photos_from(source).photos:
        archive.write(photo.path, f"{folder}/{photo.id}")
    if annotated:
        archive.write(source, _ANNOTATIONS)


def unpack(archive: Path, folder: Path) -> str | None:
    """Unpack a parcel into a folder; returns the value of `--photos`, None for edgekit's own."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)  # drops roots and ".." of names
    listed = (folder / _ANNOTATIONS, folder / _PHOTOS)
    return next((str(path) for path in listed if path.exists()), None)
