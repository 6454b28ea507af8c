"""Compare the masks of a precision plan with the reference's in PyTorch, before lowering."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from edgekit import catalog, store
from edgekit.program.programs import Programs
from edgekit.records import Execution, Feeds, FloatArray, PartPlan, Precision, Session, Target
from edgekit.runtime import Predictor
from edgekit.runtime.client_kinds import photo_client
from edgekit.verification import Verdict, verify_predictors

if TYPE_CHECKING:
    from edgekit.program.capture import Program

Judge = Callable[[tuple[PartPlan, ...]], Verdict]
"""From a plan (a part for each program of a model) to a verdict."""

JUDGED_PHOTOS = {Precision.FP16: 1, Precision.BF16: 2, Precision.INT8: 2}
"""Calibration photos that a plan is judged on.

An FP16 plan that breaks a model does so on every photo. BF16 and INT8 degrade masks gradually, so
their verdict needs more photos."""


class CachedSession:
    """A session that keeps every result by a digest of its feeds.

    A search runs the reference on the same few photos and prompts again and again.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._results: dict[bytes, dict[str, FloatArray]] = {}

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run, or return the result of an earlier run on equal feeds."""
        digest = hashlib.sha256()
        for name, array in sorted(feeds.items()):
            digest.update(f"{name} {array.shape}".encode() + array.tobytes())
        key = digest.digest()
        if key not in self._results:
            self._results[key] = self._session.run(feeds)
        return self._results[key]


def make_judge(
    programs: Programs,
    target: Target,
    photos: catalog.PhotoSet,
    *,
    progress: store.Progress | None = None,
) -> Judge:
    """A judge of plans for a target.

    `progress` gets the number of each judgement; how many there will be is not known.
    """
    from edgekit.models.reference import reference_sessions

    client = photo_client(programs.row.client)
    few = judged(photos, target)
    references = tuple(map(CachedSession, reference_sessions(programs.split)))
    in_float = tuple(map(CachedSession, programs.sessions))
    number = count(1)

    def judge(parts: tuple[PartPlan, ...]) -> Verdict:
        planned = tuple(map(_session, programs.planned, parts, in_float))
        verdict = verify_predictors(
            Predictor.from_sessions(client, *planned, prompt_slots=target.prompt_slots[-1:]),
            Predictor.from_sessions(client, *references),
            few,
            gate=target.gate,
            execution=Execution(how="emulated", reason="planning"),
        )
        if progress:
            progress(next(number), None)
        return verdict

    return judge


def judged(photos: catalog.PhotoSet, target: Target) -> catalog.PhotoSet:
    """The photos that plans for a target are judged on, the first of those given."""
    return replace(photos, photos=photos.photos[: JUDGED_PHOTOS[target.precision]])


def _session(program: Program, part: PartPlan, in_float: Session) -> Session:
    """The program under its plan, or as it is if the plan is FP32 throughout."""
    from edgekit.precision.apply.casts import apply_casts
    from edgekit.precision.apply.coded_walk import coded_walk
    from edgekit.precision.apply.rounded_walk import rounded_walk

    if part.all_fp32:
        return in_float
    if any(line.precision is Precision.INT8 for line in part.nodes):
        return coded_walk(program, part)
    return rounded_walk(apply_casts(program, part))
