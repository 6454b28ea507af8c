"""Check that the INT8 encoder is faster than the float one, if this machine can run both."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from edgekit import store
from edgekit.benchmark.idle import wait_until_idle
from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import GraphRejected
from edgekit.lowering import lowering
from edgekit.pack import tool_versions
from edgekit.program.programs import Programs
from edgekit.records import Artifact, Precision, Role, Session, Target
from edgekit.runtime.opening import execution, open_artifact
from edgekit.stages.artifacts import RuntimeFiles
from edgekit.stages.graphs import lower_program

ROUNDS = 5
_LISTING = "artifact.json"


def require_faster(programs: Programs, target: Target, files: RuntimeFiles) -> None:
    """Time the INT8 encoder and the same encoder in float, in turns, with the target's options.

    Does nothing if the target's runtime is not here or its recipe leaves the encoder float.

    Raises:
        GraphRejected: INT8 is not faster.
    """
    if execution(target).how != "native" or not target.int8:
        return
    if Role.ENCODER not in target.int8.roles:
        return
    folder, plain = _float_encoder(programs, target)
    coded = next(artifact for artifact in files.artifacts if artifact.role is Role.ENCODER)
    sessions = (
        open_artifact(coded, files.folder, target, threads=None),
        open_artifact(plain, folder, target, threads=None),
    )
    int8, fp32 = _seconds(sessions, coded)
    if int8 >= fp32:
        raise GraphRejected(
            f"The INT8 encoder takes {int8 * 1e3:.0f} ms on this machine, "
            f"the float one {fp32 * 1e3:.0f} ms.",
            expected="a faster INT8 encoder, since INT8 costs accuracy",
            next_step="export for the fp32 or bf16 target, or repeat with --force to ship it",
        )


def _float_encoder(programs: Programs, target: Target) -> tuple[Path, Artifact]:
    """The folder and artifact of the encoder without codes, from the cache or built now."""
    plain = replace(target, precision=Precision.FP32, int8=None)
    key = store.stage_key(
        "float-encoder",
        store.code_digest(__name__, runtime_row(target.runtime).lowers),
        *programs.identity,
        str(plain),
        str(sorted(tool_versions().items())),
    )

    def build(folder: Path) -> None:
        (folder / "graph").mkdir()
        graph = lower_program(programs.encoder, plain, folder=folder / "graph")
        artifact = lowering(plain).lower(graph, plain, folder)
        store.write_records(folder / _LISTING, (artifact,))

    folder = store.cached_dir(key, build)
    return folder, store.read_records(folder / _LISTING, Artifact)[0]


def _seconds(sessions: tuple[Session, Session], artifact: Artifact) -> tuple[float, float]:
    """Median time of a run of each. Taking turns gives both the same load on a busy machine."""
    feeds = {
        spec.name: np.zeros([int(size) for size in spec.shape], np.float32)
        for spec in artifact.inputs
    }
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for session, taken in zip(sessions, times, strict=True):
            start = time.perf_counter()
            session.run(feeds)
            if turn:  # the first run also allocates buffers
                taken.append(time.perf_counter() - start)
            wait_until_idle()
    first, second = (median(taken) for taken in times)
    return first, second
