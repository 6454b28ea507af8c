"""Check the arrays that a session gets against the artifact.

Each runtime reports wrong arrays in its own words. OpenVINO takes some without an error and returns
wrong numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgekit.errors import BadInput, BundleCorrupt
from edgekit.records import Artifact, Feeds, FloatArray, TensorSpec

_MASK_PROMPT = {"mask_input", "has_mask_input"}


def checked_feeds(feeds: Feeds, inputs: tuple[TensorSpec, ...]) -> dict[str, FloatArray]:
    """The feeds in the order of `inputs`. Runtimes copy arrays that are not contiguous.

    A decoder of edgekit 0.1 takes a mask per prompt, so a mask that all prompts share is repeated.

    Raises:
        BadInput: names, a dtype or a shape differ from `inputs`. A dynamic dimension must have the
            same size, at least 1, in all inputs.
    """
    names = {spec.name for spec in inputs}
    if feeds.keys() != names:
        raise BadInput(
            f"Inputs given: {_listed(feeds.keys())}.", expected=f"exactly {_listed(names)}"
        )
    sizes: dict[str, int] = {}
    return {spec.name: _checked(feeds[spec.name], spec, sizes) for spec in inputs}


def _repeated(array: FloatArray, spec: TensorSpec, sizes: dict[str, int]) -> FloatArray:
    """The array, with its first axis of size 1 repeated to the number of prompts known so far."""
    first = spec.shape[:1] if spec.name in _MASK_PROMPT else ()
    count = max((sizes.get(str(size), 1) for size in first), default=1)
    return np.repeat(array, count, axis=0) if count > 1 and array.shape[:1] == (1,) else array


def cannot_run(artifact: Artifact, error: Exception) -> BundleCorrupt:
    """The error for a file that loads but fails on inputs that fit the manifest."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return BundleCorrupt(
        f"{artifact.entry} cannot be run: {lines[-1]}", next_step="export the bundle again"
    )


def _checked(array: FloatArray, spec: TensorSpec, sizes: dict[str, int]) -> FloatArray:
    """The array. `sizes` collects the sizes of dynamic dimensions."""
    array = _repeated(array, spec, sizes)
    if array.dtype != np.dtype(spec.dtype) or not _fits(array.shape, spec, sizes):
        shape = [f"{d}={sizes[d]}" if d in sizes else d for d in spec.shape]
        raise BadInput(
            f"Input {spec.name} is {array.dtype} of shape {list(array.shape)}.",
            expected=f"{spec.dtype} of shape [{', '.join(map(str, shape))}]",
        )
    return array


def _fits(shape: tuple[int, ...], spec: TensorSpec, sizes: dict[str, int]) -> bool:
    if len(shape) != len(spec.shape):
        return False
    return all(
        size == dim if isinstance(dim, int) else 0 < size == sizes.setdefault(dim, size)
        for size, dim in zip(shape, spec.shape, strict=True)
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
