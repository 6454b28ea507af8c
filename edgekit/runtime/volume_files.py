"""Read volumes from files, and write masks: NumPy's .npy, and NIfTI-1 through nibabel.

The axes of a NIfTI file may lie in any order and direction; its affine says how. They are turned to
lead to the patient's right, front and head, as upstream does (torchio's ToCanonical). Prompts and
masks keep the file's own voxel indices.
"""

from __future__ import annotations

import gzip
import io
import logging
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput, RuntimeMissing
from edgekit.records import BoolArray
from edgekit.runtime.coordinates import Coordinates
from edgekit.runtime.volume_input import require_numbers, require_shape
from edgekit.runtimes.quiet import quiet
from edgekit.store import printable, write_atomic

Voxels = npt.NDArray[Any]

SUFFIXES = (".npy", ".nii", ".nii.gz")
MOST_BYTES = 64 * 2**20
"""The most bytes of a NIfTI file that are read, unpacked: 128^3 voxels of 16 bytes are half."""

# What NumPy and nibabel raise on damaged files; found by damaging files at random.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    OverflowError,
    tokenize.TokenError,
    zlib.error,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeFile:
    """A volume that was read from a file.

    `voxels` [side, side, side] are turned. Axis i of the file became axis `order[i]`, in the other
    direction if `flipped[i]`. `affine` [4, 4] takes the file's voxel indices to millimetres.
    """

    voxels: Voxels
    affine: npt.NDArray[np.float64]
    order: tuple[int, ...] = (0, 1, 2)
    flipped: tuple[bool, ...] = (False, False, False)

    def turned(self, points: Coordinates) -> Coordinates:
        """Voxel indices [N, 3] of the file as indices of `voxels`."""
        last = np.array(self.voxels.shape) - 1
        straight = np.where(self.flipped, last - points, points)
        result: Coordinates = straight[:, np.argsort(self.order)]
        return result

    def turned_back(self, mask: BoolArray) -> BoolArray:
        """A mask [side, side, side] of `voxels` in the file's own axes."""
        straight: BoolArray = mask.transpose(self.order)
        return np.flip(straight, np.flatnonzero(self.flipped).tolist())


def read_volume(path: Path, frame: int) -> VolumeFile:
    """Read a file with `frame` voxels along each axis. Its shape is checked before its voxels.

    Raises:
        BadInput: there is no such file; it is damaged, too large or of another format; or its
            voxels are no real numbers.
        RuntimeMissing: it is NIfTI, and nibabel is not installed.
    """
    require_volume_name(path)
    if not path.is_file():
        raise BadInput(
            f"There is no file '{printable(str(path))}'.",
            expected=f"a volume: {', '.join(SUFFIXES)}",
        )
    if path.name.lower().endswith(".npy"):
        return _read_npy(path, frame)
    return _read_nifti(path, frame)


def write_mask(path: Path, mask: BoolArray, volume: VolumeFile) -> None:
    """Write a mask of `volume.voxels` as uint8 (1 inside, 0 outside), in the file's own axes.

    Raises:
        BadInput: the name has another suffix, or cannot be written.
        RuntimeMissing: it is NIfTI, and nibabel is not installed.
    """
    require_volume_name(path)
    voxels = np.ascontiguousarray(volume.turned_back(mask), dtype=np.uint8)
    name = path.name.lower()
    if name.endswith(".npy"):
        content = io.BytesIO()
        np.save(content, voxels)
        write_atomic(path, content.getvalue())
        return
    data: bytes = _nibabel().Nifti1Image(voxels, volume.affine).to_bytes()
    write_atomic(path, gzip.compress(data, mtime=0) if name.endswith(".gz") else data)


def names_volume(path: Path) -> bool:
    """Whether the file's name ends as that of a volume does."""
    return path.name.lower().endswith(SUFFIXES)


def require_volume_name(path: Path) -> None:
    """Check that the name says which format the file has.

    Raises:
        BadInput: it does not.
    """
    if not names_volume(path):
        raise BadInput(
            f"The name '{printable(str(path))}' is not that of a volume.",
            expected=f"a file name that ends in {', '.join(SUFFIXES)}",
        )


def _read_npy(path: Path, frame: int) -> VolumeFile:
    try:
        with quiet():
            # Takes no memory yet, and no pickle.
            mapped: Voxels = np.lib.format.open_memmap(path, mode="r")  # type: ignore[no-untyped-call]
    except _DAMAGED as error:
        raise _damaged(path, "an array saved by numpy.save") from error
    require_shape(mapped.shape, frame)
    require_numbers(mapped.dtype)
    return VolumeFile(voxels=np.array(mapped), affine=np.eye(4))


def _read_nifti(path: Path, frame: int) -> VolumeFile:
    nibabel = _nibabel()
    data = _unpacked(path)
    damaged = (
        *_DAMAGED,
        nibabel.spatialimages.HeaderDataError,
        nibabel.spatialimages.ImageDataError,
        nibabel.filebasedimages.ImageFileError,
        nibabel.wrapstruct.WrapStructError,
    )
    try:
        with quiet(), _unlogged():
            image = nibabel.Nifti1Image.from_bytes(data)
            shape = _without_last_ones(image.shape)
            require_shape(shape, frame)
            require_numbers(image.get_data_dtype())
            voxels = np.asarray(image.dataobj).reshape(shape)
            orientation = nibabel.io_orientation(image.affine)
    except BadInput:
        raise
    except damaged as error:
        raise _damaged(path, "a NIfTI-1 file (.nii or .nii.gz)") from error
    if np.isnan(orientation).any():
        raise BadInput(
            f"The affine of {printable(path.name)} does not say how its axes lie.",
            expected="an affine that takes voxel indices to millimetres",
        )
    return _turned(voxels, image.affine, orientation)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep nibabel, which logs oddities of a header to the terminal, from doing so."""
    logger = logging.getLogger("nibabel.global")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _turned(
    voxels: Voxels, affine: npt.NDArray[np.float64], orientation: npt.NDArray[np.float64]
) -> VolumeFile:
    """The volume with turned axes; `orientation` [3, 2] is that of `nibabel.io_orientation`."""
    order = tuple(int(axis) for axis in orientation[:, 0])
    flipped = tuple(bool(direction < 0) for direction in orientation[:, 1])
    straight = np.flip(voxels, np.flatnonzero(flipped).tolist())
    turned = straight.transpose(np.argsort(order))
    return VolumeFile(voxels=turned, affine=affine, order=order, flipped=flipped)


def _without_last_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without axes of length 1 after the third."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _unpacked(path: Path) -> bytes:
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            data: bytes = file.read(MOST_BYTES + 1)
    except _DAMAGED as error:
        raise _damaged(path, "a NIfTI-1 file (.nii or .nii.gz)") from error
    if len(data) > MOST_BYTES:
        raise BadInput(
            f"{printable(path.name)} holds more than {MOST_BYTES // 2**20} MiB.",
            expected="a single volume of the size that the model takes",
        )
    return data


def _damaged(path: Path, expected: str) -> BadInput:
    return BadInput(f"{printable(str(path))} cannot be read.", expected=expected)


def _nibabel() -> ModuleType:
    try:
        import nibabel
    except ImportError as error:
        raise RuntimeMissing(
            "NIfTI files need nibabel, which is not installed.",
            expected="nibabel, or a volume saved by numpy.save",
            next_step="pip install 'edgekit[volumes]'",
        ) from error
    return nibabel
