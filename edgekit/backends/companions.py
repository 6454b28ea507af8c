"""Files of a bundle that belong to its runtime and to no artifact, such as TensorRT's build.sh."""

from __future__ import annotations

import importlib
from pathlib import Path

from edgekit.records import Artifact, Target

_WRITERS = {"tensorrt": "edgekit.backends.tensorrt.build_files"}


def write_companions(artifacts: tuple[Artifact, ...], target: Target, folder: Path) -> None:
    """Write them into a bundle's folder, which holds the artifacts already.

    Raises:
        BadInput: an option of the target is not of its form.
    """
    if writer := _WRITERS.get(target.runtime):
        importlib.import_module(writer).write(artifacts, target, folder)
