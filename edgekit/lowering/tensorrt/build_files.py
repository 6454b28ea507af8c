"""The files with which a device builds a bundle's engines: build.sh and build_engine.py."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgekit.lowering.tensorrt.build_script import (
    build_script,
    fp32_list,
    may_build_with_tensorrt_8,
)
from edgekit.lowering.tensorrt.engine_build import engine_build
from edgekit.records import Artifact, Target
from edgekit.runtimes.tensorrt import build_engine
from edgekit.store import write_atomic


def write(artifacts: tuple[Artifact, ...], target: Target, folder: Path) -> None:
    """Write build.sh, build_engine.py and, for TensorRT 8, the lists of FP32 nodes.

    Raises:
        BadInput: an option of the target is missing or malformed.
    """
    builds = [engine_build(artifact, target, folder) for artifact in artifacts]
    write_atomic(folder / "build.sh", build_script(builds, target))
    (folder / "build.sh").chmod(0o755)
    shutil.copyfile(build_engine.__file__, folder / "build_engine.py")
    for build in builds:
        if build.fp32_nodes and may_build_with_tensorrt_8(target):
            write_atomic(folder / fp32_list(build), "\n".join(build.fp32_nodes) + "\n")
