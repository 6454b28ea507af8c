"""What a frozen encoder gives for each photo: computed once, and kept in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgekit import store
from edgekit.records import FloatArray

_FILE = "array.npy"


def cached_array(
    kind: str, key: Sequence[str], photo: Path, compute: Callable[[], FloatArray]
) -> FloatArray:
    """A float32 array of a photo file, which the cache keeps as float16.

    Args:
        kind: the kind of the cache's entry.
        key: all that the array depends on, except the photo.
        photo: the file.
        compute: makes the array if it is not in the cache.
    """
    entry = store.stage_key(kind, *key, store.sha256_of(photo))
    folder = store.cached_dir(
        entry, lambda part: np.save(part / _FILE, compute().astype(np.float16))
    )
    array: FloatArray = np.load(folder / _FILE).astype(np.float32)
    return array
