"""Make a precision plan: measure ranges once per weights and photo set, then decide."""

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
from edgekit.runtime.client_kinds import photo_client
from edgekit.stages.judging import Judge, judged, make_judge

if TYPE_CHECKING:
    from edgekit.precision.decide.fp16_search import Islands
    from edgekit.precision.measure.ranges import Calibration
    from edgekit.verification import Verdict

_MEASURING = ("edgekit.precision.measure.ranges", "edgekit.program.programs")
"""The modules that decide the ranges, with everything that they import."""


def make_plan(
    programs: Programs,
    target: Target,
    photos: catalog.PhotoSet,
    *,
    search: bool = False,
    progress: store.Progress | None = None,
) -> PrecisionPlan | None:
    """The plan for a target, or None if the runtime computes in one precision throughout.

    Args:
        programs: those of the model.
        target: decides precision, recipe and gate.
        photos: to calibrate on.
        search: if an INT8 plan fails the gate on calibration photos, return blocks to float. An
            FP16 plan is always searched.
        progress: gets the number of photos measured, then of plans judged.

    Raises:
        BadInput: there is no photo, a photo cannot be read, or a range is not finite.
        GraphRejected: no plan meets the gate.
    """
    if not plans_nodes(target):
        return None
    if target.precision is Precision.BF16:
        return _bf16_plan(programs, target, photos, progress)
    record = _calibration_record(programs, target, photos)
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
        calibration = measure_ranges(programs, target, photos, record=record, on_photo=progress)
        judge = make_judge(programs, target, photos, progress=progress)
        if target.int8:
            plan = _int8_plan(programs, target, calibration, judge, search=search)
        else:
            plan = _fp16_plan(programs, calibration, judge)
        write_plan(folder, replace(plan, calibration=_published(record, calibration)))

    return read_plan(store.cached_dir(key, build))


def measure_ranges(
    programs: Programs,
    target: Target,
    photos: catalog.PhotoSet,
    *,
    record: CalibrationRecord,
    on_photo: store.Progress | None = None,
) -> Calibration:
    """The ranges of all nodes on these photos, from the cache or measured now.

    The decoder is left out if an INT8 recipe leaves it float: nothing depends on its ranges then.
    """
    from edgekit.precision.measure.ranges import measure, read_calibration, write_calibration

    def build(folder: Path) -> None:
        measured = measure(
            programs.encoder,
            programs.decoder if _decides_on(target, Role.DECODER) else None,
            photos=photos,
            client=photo_client(programs.row.client),
            prompt_slots=target.prompt_slots[-1:],
            on_photo=on_photo,
        )
        write_calibration(folder, measured)

    return read_calibration(store.cached_dir(f"ranges-{record.sha256[:32]}", build))


def _decides_on(target: Target, role: Role) -> bool:
    return target.int8 is None or role in target.int8.roles


def _calibration_record(
    programs: Programs, target: Target, photos: catalog.PhotoSet
) -> CalibrationRecord:
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


def _published(record: CalibrationRecord, calibration: Calibration) -> CalibrationRecord:
    """The record for the bundle: its name is the last part of a path, not the maker's folders."""
    return replace(record, name=Path(record.name).name, prompts=calibration.prompts)


def _bf16_plan(
    programs: Programs,
    target: Target,
    photos: catalog.PhotoSet,
    progress: store.Progress | None,
) -> PrecisionPlan:
    """The BF16 plan. BF16 has FP32's range and needs no measured ones; the photos judge it."""
    key = store.stage_key(
        "bf16-plan",
        store.code_digest(__name__, "edgekit.precision.decide.bf16"),
        *programs.identity,
        str(target.gate),
        *(f"{photo.id} {store.sha256_of(photo.path)}" for photo in judged(photos, target).photos),
        str(sorted(tool_versions().items())),
    )

    def build(folder: Path) -> None:
        from edgekit.precision.decide.bf16 import plan_bf16

        judge = make_judge(programs, target, photos, progress=progress)
        parts = plan_bf16(programs.planned, judge)
        write_plan(folder, PrecisionPlan(asked=Precision.BF16, recipe="masks", parts=parts))

    return read_plan(store.cached_dir(key, build))


def _fp16_plan(model: Programs, calibration: Calibration, judge: Judge) -> PrecisionPlan:
    from edgekit.precision.decide.fp16 import islands_of, plan_with_islands
    from edgekit.precision.decide.fp16_search import keep_blocks_in_fp32

    programs = model.planned
    measures = model.row.graph.measures
    by_ranges = {
        p.role: islands_of(p, calibration.ranges(p.role), measures=measures) for p in programs
    }

    def parts(islands: Islands) -> tuple[PartPlan, ...]:
        return tuple(plan_with_islands(program, islands[program.role]) for program in programs)

    def judge_islands(islands: Islands) -> Verdict:
        return judge(parts(islands))

    islands = by_ranges
    if not _has_tied_candidates(model):
        islands = keep_blocks_in_fp32(programs, by_ranges, judge_islands)
    recipe = "ranges" if islands == by_ranges else "ranges, then search"
    return PrecisionPlan(asked=Precision.FP16, recipe=recipe, parts=parts(islands))


def _has_tied_candidates(programs: Programs) -> bool:
    """Whether the masks say little about a plan.

    With random weights a detector gives hundreds of candidates with nearly equal scores. Any
    rounding changes which of them it keeps, whatever stays FP32.
    """
    source, client = programs.source, programs.row.client
    return source.kind == "seeded" and isinstance(client, DetectorContract)


def _int8_plan(
    programs: Programs, target: Target, calibration: Calibration, judge: Judge, *, search: bool
) -> PrecisionPlan:
    """The plan by the recipe; in a search, blocks return to float until the masks pass."""
    from edgekit.precision.decide.bf16 import with_bf16_decoder
    from edgekit.precision.decide.int8 import plan_int8
    from edgekit.precision.decide.int8_search import FloatNodes, return_blocks_to_float

    recipe = target.int8
    assert recipe is not None  # a profile of precision int8 has one
    _, *others = programs.planned
    ranges = calibration.by_role
    other_parts = tuple(plan_int8(each, ranges.get(each.role), recipe) for each in others)

    def encoder_part(in_float: FloatNodes) -> PartPlan:
        return plan_int8(programs.encoder, ranges[Role.ENCODER], recipe, in_float=in_float)

    in_float: FloatNodes = {}
    if search:
        in_float = return_blocks_to_float(
            encoder_part({}), lambda nodes: judge((encoder_part(nodes), *other_parts))
        )
    name = f"int8 of {target.name}" + (", then search" if in_float else "")
    parts = (encoder_part(in_float), *other_parts)
    if recipe.decoder == "bf16":
        parts = with_bf16_decoder(parts[0], others, judge)
    return PrecisionPlan(asked=Precision.INT8, recipe=name, parts=parts)
