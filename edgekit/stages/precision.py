"""Weights and photos to a precision plan: ranges once per weights and set, then the decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import catalog, store
from edgekit.catalog.runtimes import plans_nodes
from edgekit.pack import read_plan, tool_versions, write_plan
from edgekit.program.programs import Programs
from edgekit.records import (
    CalibrationRecord,
    DetectorContract,
    PartPlan,
    Precision,
    PrecisionPlan,
    Role,
    Target,
)
from edgekit.stages.judging import Judge, judge_of

if TYPE_CHECKING:
    from edgekit.precision.decide.fp16_search import Islands
    from edgekit.precision.measure.ranges import Calibration
    from edgekit.verification import Verdict

_MEASURING = ("edgekit.precision.measure.ranges", "edgekit.program.programs")
"""The modules that decide the ranges, with all that they import."""


def make_plan(
    programs: Programs,
    target: Target,
    photos: catalog.PhotoSet,
    *,
    search: bool = False,
    progress: store.Progress | None = None,
) -> PrecisionPlan | None:
    """The plan for a target, or None where the runtime computes in one precision throughout.

    `search`: where the INT8 recipe fails the gate on calibration photos, move blocks back to float.
    (FP16 is always mended so.) `progress` is told of photos measured, then of plans judged.

    Raises:
        BadInput: no photo, one that cannot be read, or ranges that are not finite.
        GraphRejected: no plan meets the gate.
    """
    if not plans_nodes(target):
        return None
    if target.precision is Precision.BF16:
        return _bf16_plan(programs)
    record = _record(programs, target, photos)
    key = store.stage_key(
        "plan",
        store.code_digest(__name__),
        record.sha256,
        target.precision,
        str(target.gate),
        str(target.int8),
        str(search),
    )

    def build(folder: Path) -> None:
        calibration = calibrated(programs, target, photos, record=record, on_photo=progress)
        judge = judge_of(programs, target, photos, progress=progress)
        if target.int8:
            plan = _int8_plan(programs, target, calibration, judge if search else None)
        else:
            plan = _fp16_plan(programs, calibration, judge)
        write_plan(folder, replace(plan, calibration=_told(record, calibration)))

    return read_plan(store.cached_dir(key, build))


def calibrated(
    programs: Programs,
    target: Target,
    photos: catalog.PhotoSet,
    *,
    record: CalibrationRecord,
    on_photo: store.Progress | None = None,
) -> Calibration:
    """The ranges of all nodes on these photos, measured now or found in the cache.

    Not the decoder's where an INT8 recipe leaves it float: nothing is decided from them.
    """
    from edgekit.precision.measure.ranges import measure, read_calibration, write_calibration

    def build(folder: Path) -> None:
        measured = measure(
            programs.encoder,
            programs.decoder if _decides_on(target, Role.DECODER) else None,
            photos=photos,
            client=programs.row.client,
            prompt_slots=target.prompt_slots[-1:],
            on_photo=on_photo,
        )
        write_calibration(folder, measured)

    return read_calibration(store.cached_dir(f"ranges-{record.sha256[:32]}", build))


def _decides_on(target: Target, role: Role) -> bool:
    return target.int8 is None or role in target.int8.roles


def _record(programs: Programs, target: Target, photos: catalog.PhotoSet) -> CalibrationRecord:
    digests = tuple(store.sha256_of(photo.path) for photo in photos.photos)
    fingerprint = store.content_key(
        "ranges",
        store.code_digest(*_MEASURING),
        *programs.identity,
        str(_decides_on(target, Role.DECODER)),
        *digests,
        *(f"{photo.id} {photo.instances!r}" for photo in photos.photos),
        str(sorted(tool_versions().items())),
    )
    return CalibrationRecord(name=photos.name, photos=digests, prompts=0, sha256=fingerprint)


def _told(record: CalibrationRecord, calibration: Calibration) -> CalibrationRecord:
    """With a name that does not tell how the maker's disk is laid out."""
    return replace(record, name=Path(record.name).name, prompts=calibration.prompts)


def _bf16_plan(programs: Programs) -> PrecisionPlan:
    """Made from the programs alone: BF16 needs no ranges."""
    key = store.stage_key(
        "bf16-plan",
        store.code_digest(__name__, "edgekit.precision.decide.bf16"),
        *programs.identity,
        str(sorted(tool_versions().items())),
    )

    def build(folder: Path) -> None:
        from edgekit.precision.decide.bf16 import plan_bf16

        parts = plan_bf16(programs.planned)
        write_plan(folder, PrecisionPlan(asked=Precision.BF16, recipe="halves", parts=parts))

    return read_plan(store.cached_dir(key, build))


def _fp16_plan(handle: Programs, calibration: Calibration, judge: Judge) -> PrecisionPlan:
    from edgekit.precision.decide.fp16 import islands_of, planned_with
    from edgekit.precision.decide.fp16_search import mend

    programs = handle.planned
    measures = handle.row.graph.measures
    measured = {
        p.role: islands_of(p, calibration.ranges(p.role), measures=measures) for p in programs
    }

    def parts(islands: Islands) -> tuple[PartPlan, ...]:
        return tuple(planned_with(program, islands[program.role]) for program in programs)

    def judged(islands: Islands) -> Verdict:
        return judge(parts(islands))

    islands = measured if _tosses_coins(handle) else mend(programs, measured, judged)
    recipe = "ranges" if islands == measured else "ranges, then search"
    return PrecisionPlan(asked=Precision.FP16, recipe=recipe, parts=parts(islands))


def _tosses_coins(programs: Programs) -> bool:
    """Whether the masks say little about a plan: random weights give a detector hundreds of
    candidates whose scores nearly tie, and which of them is kept no block in FP32 decides."""
    source, client = programs.source, programs.row.client
    return source.kind == "seeded" and isinstance(client, DetectorContract)


def _int8_plan(
    programs: Programs, target: Target, calibration: Calibration, judge: Judge | None
) -> PrecisionPlan:
    """By the recipe; with a judge, relaxed until the masks meet the gate."""
    from edgekit.precision.decide.int8 import plan_int8
    from edgekit.precision.decide.int8_search import Returned, relax

    recipe = target.int8
    assert recipe is not None  # a profile of precision int8 has it
    _, *others = programs.planned
    measured = calibration.by_role
    still = tuple(plan_int8(each, measured.get(each.role), recipe) for each in others)

    def part(returned: Returned) -> PartPlan:
        return plan_int8(programs.encoder, measured[Role.ENCODER], recipe, returned=returned)

    returned: Returned = {}
    if judge:
        returned = relax(part({}), lambda returned: judge((part(returned), *still)))
    name = f"int8 of {target.name}" + (", then search" if returned else "")
    return PrecisionPlan(asked=Precision.INT8, recipe=name, parts=(part(returned), *still))
