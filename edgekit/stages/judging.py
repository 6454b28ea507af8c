"""A plan's masks held against the reference's before anything is lowered, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from edgekit import catalog, store
from edgekit.program.programs import Programs
from edgekit.records import Execution, PartPlan, Precision, Session, Target
from edgekit.runtime import Predictor
from edgekit.stages.remembered import Remembered
from edgekit.verification import Verdict, verify_predictors

if TYPE_CHECKING:
    from edgekit.program.capture import Program

Judge = Callable[[tuple[PartPlan, ...]], Verdict]

JUDGED_PHOTOS = {Precision.FP16: 1, Precision.INT8: 2}
"""Calibration photos that the masks of a plan are judged on.

FP16 that breaks does so on every photo; INT8 wears masks down, which takes more of them to tell."""


def judge_of(
    programs: Programs,
    target: Target,
    photos: catalog.PhotoSet,
    *,
    progress: store.Progress | None = None,
) -> Judge:
    """A function from a plan (a part for each program of the model) to a verdict.

    The reference is run once per question, however many plans there are. `progress` is told the
    number of each judgement; how many there will be is not known.
    """
    from edgekit.models.reference import reference_sessions

    client = programs.row.client
    few = replace(photos, photos=photos.photos[: JUDGED_PHOTOS[target.precision]])
    references = tuple(map(Remembered, reference_sessions(programs.split)))
    session = _rounded_halves if target.precision is Precision.FP16 else _rounded_codes
    judged = count(1)

    def judge(parts: tuple[PartPlan, ...]) -> Verdict:
        planned = tuple(map(session, programs.planned, parts, references))
        verdict = verify_predictors(
            Predictor.from_sessions(client, *planned, prompt_slots=target.prompt_slots[-1:]),
            Predictor.from_sessions(client, *references),
            few,
            gate=target.gate,
            execution=Execution(how="emulated", reason="planning"),
        )
        if progress:
            progress(next(judged), None)
        return verdict

    return judge


def _rounded_halves(program: Program, part: PartPlan, _: Session) -> Session:
    from edgekit.precision.apply.casts import apply_casts
    from edgekit.precision.apply.rounded_walk import emulated_session

    return emulated_session(apply_casts(program, part))


def _rounded_codes(program: Program, part: PartPlan, reference: Session) -> Session:
    """The reference itself where the plan codes nothing."""
    from edgekit.precision.apply.coded_walk import coded_walk

    coded = any(line.precision is Precision.INT8 for line in part.nodes)
    return coded_walk(program, part) if coded else reference
