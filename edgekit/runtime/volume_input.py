"""From a volume to the encoder's input, as in FastSAM3D's validation script."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import FloatArray, VolumePreprocessing


def volume_input(volume: npt.ArrayLike, rule: VolumePreprocessing) -> FloatArray:
    """The tensor `image` [1, 1, frame, frame, frame], float32, for a volume of numbers.

    Raises:
        BadInput: the volume has another shape, voxels that are no real numbers, NaN or infinity; or
            all voxels above `tissue_above` are equal, or there are fewer than two.
    """
    voxels = _voxels(volume, rule.frame)
    tissue = voxels[voxels > rule.tissue_above]
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(tissue.std(ddof=1)) if tissue.size > 1 else 0.0
        mean = float(tissue.mean()) if tissue.size else 0.0
    if not (np.isfinite(spread) and spread > 0):
        raise BadInput(
            f"The volume cannot be normalised: its voxels above {rule.tissue_above:g} are all "
            "equal, too large, or there are none.",
            expected=f"a scan whose air is {rule.tissue_above:g} or less, and whose tissue is more",
        )
    return ((voxels - mean) / spread).astype(np.float32)[None, None]


def require_shape(shape: tuple[int, ...], frame: int) -> None:
    """Check a volume's shape before its voxels are read.

    Raises:
        BadInput: it does not have `frame` voxels along each of three axes.
    """
    if shape != (frame, frame, frame):
        raise BadInput(
            f"The volume cannot have the shape {list(shape)}.",
            expected=f"[{frame}, {frame}, {frame}], one channel",
            next_step=f"resample it to voxels of 1.5 mm and cut out {frame} along each axis around "
            "the object",
        )


def require_numbers(dtype: np.dtype[np.generic]) -> None:
    """Check that the voxels are whole or floating-point numbers.

    Raises:
        BadInput: they are of another type.
    """
    if dtype.kind not in "iuf":
        raise BadInput(
            f"The voxels cannot be of the type {dtype}.",
            expected="whole or floating-point numbers, such as int16 or float32",
        )


def _voxels(volume: npt.ArrayLike, frame: int) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(volume)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor with gradients
        raise BadInput(
            "The volume cannot be read as numbers.", expected="an array with three axes"
        ) from error
    require_shape(array.shape, frame)
    require_numbers(array.dtype)
    voxels = array.astype(np.float64)
    if not np.isfinite(voxels).all():
        raise BadInput("The volume has voxels that are NaN or infinite.", expected="finite numbers")
    return voxels
