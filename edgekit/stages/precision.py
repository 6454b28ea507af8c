"""Weights and photos to a precision plan: ranges once per weights and set, then the decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import backends, catalog, store
from edgekit.pack import read_plan, tool_versions, write_plan
from edgekit.records import (
    Bundle,
    CalibrationRecord,
    DetectorContract,
    ModelRow,
    PartPlan,
    Precision,
    PrecisionPlan,
    Role,
    Target,
    WeightsSource,
)
from edgekit.stages.judging import Judge, judge_of
from edgekit.stages.programs import CapturedModel, captured

if TYPE_CHECKING:
    from edgekit.precision.ranges import Calibration
    from edgekit.precision.search import Islands
    from edgekit.verify import Verdict

# What decides the ranges, and what decides from them.
_MEASURING = (
    "models",
    "graph",
    "runtime",
    "verify.prompts",
    "precision.ranges",
    "precision.walk",
)
_DECIDING = ("precision", "records", "verify", "stages.precision", "stages.judging")


def make_plan(
    row: ModelRow,
    source: WeightsSource,
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
    if not backends.planned(target):
        return None
    if target.precision is Precision.BF16:
        return _bf16_plan(row, source, target)
    record = _record(row, source, target, photos)
    key = store.content_key(
        "plan",
        store.code_digest(*_DECIDING),
        record.sha256,
        target.precision,
        str(target.gate),
        str(target.int8),
        str(search),
    )

    def build(folder: Path) -> None:
        model = captured(row, source, target.prompt_slots)
        calibration = calibrated(model, target, photos, record=record, on_photo=progress)
        judge = judge_of(model, target, photos, progress=progress)
        if target.int8:
            plan = _int8_plan(model, target, calibration, judge if search else None)
        else:
            plan = _fp16_plan(model, calibration, judge)
        write_plan(folder, replace(plan, calibration=_told(record, calibration)))

    return read_plan(store.cached_dir(key, build))


def uncalibrated(bundle: Bundle, photos: catalog.PhotoSet) -> catalog.PhotoSet:
    """The photos that a bundle was not calibrated on, by their digests."""
    calibration = bundle.manifest.calibration
    seen = frozenset(calibration.photos) if calibration else frozenset()
    left = tuple(photo for photo in photos.photos if store.sha256_of(photo.path) not in seen)
    return replace(photos, photos=left)


def calibrated(
    model: CapturedModel,
    target: Target,
    photos: catalog.PhotoSet,
    *,
    record: CalibrationRecord,
    on_photo: store.Progress | None = None,
) -> Calibration:
    """The ranges of all nodes on these photos, measured now or found in the cache.

    Not the decoder's where an INT8 recipe leaves it float: nothing is decided from them.
    """
    from edgekit.precision.ranges import measure, read_calibration, write_calibration

    def build(folder: Path) -> None:
        measured = measure(
            model.encoder,
            model.decoder if _decides_on(target, Role.DECODER) else None,
            photos=photos,
            client=model.split.row.client,
            prompt_slots=target.prompt_slots[-1:],
            on_photo=on_photo,
        )
        write_calibration(folder, measured)

    return read_calibration(store.cached_dir(f"ranges-{record.sha256[:32]}", build))


def _decides_on(target: Target, role: Role) -> bool:
    return target.int8 is None or role in target.int8.roles


def _record(
    row: ModelRow, source: WeightsSource, target: Target, photos: catalog.PhotoSet
) -> CalibrationRecord:
    digests = tuple(store.sha256_of(photo.path) for photo in photos.photos)
    fingerprint = store.content_key(
        "ranges",
        store.code_digest(*_MEASURING),
        row.name,
        *(file.sha256 for file in source.files),
        str(source.seed),
        str(target.prompt_slots),
        str(_decides_on(target, Role.DECODER)),
        *digests,
        *(f"{photo.id} {photo.instances!r}" for photo in photos.photos),
        str(sorted(tool_versions().items())),
    )
    return CalibrationRecord(name=photos.name, photos=digests, prompts=0, sha256=fingerprint)


def _told(record: CalibrationRecord, calibration: Calibration) -> CalibrationRecord:
    """With a name that does not tell how the maker's disk is laid out."""
    return replace(record, name=Path(record.name).name, prompts=calibration.prompts)


def _bf16_plan(row: ModelRow, source: WeightsSource, target: Target) -> PrecisionPlan:
    """Made from the programs alone: BF16 needs no ranges."""
    key = store.content_key(
        "bf16 plan",
        store.code_digest("models", "graph", *_DECIDING),
        row.name,
        str(target.prompt_slots),
        str(sorted(tool_versions().items())),
    )

    def build(folder: Path) -> None:
        from edgekit.precision.bf16 import plan_bf16

        model = captured(row, source, target.prompt_slots)
        parts = plan_bf16(model.programs)
        write_plan(folder, PrecisionPlan(asked=Precision.BF16, recipe="halves", parts=parts))

    return read_plan(store.cached_dir(key, build))


def _fp16_plan(model: CapturedModel, calibration: Calibration, judge: Judge) -> PrecisionPlan:
    from edgekit.precision.fp16 import islands_of, planned_with
    from edgekit.precision.search import mend

    programs = model.programs
    measures = model.split.row.graph.measures
    measured = {
        p.role: islands_of(p, calibration.ranges(p.role), measures=measures) for p in programs
    }

    def parts(islands: Islands) -> tuple[PartPlan, ...]:
        return tuple(planned_with(program, islands[program.role]) for program in programs)

    def judged(islands: Islands) -> Verdict:
        return judge(parts(islands))

    islands = measured if _tosses_coins(model) else mend(programs, measured, judged)
    recipe = "ranges" if islands == measured else "ranges, then search"
    return PrecisionPlan(asked=Precision.FP16, recipe=recipe, parts=parts(islands))


def _tosses_coins(model: CapturedModel) -> bool:
    """Whether the masks say little about a plan: random weights give a detector hundreds of
    candidates whose scores nearly tie, and which of them is kept no block in FP32 decides."""
    source, client = model.split.source, model.split.row.client
    return source.kind == "seeded" and isinstance(client, DetectorContract)


def _int8_plan(
    model: CapturedModel, target: Target, calibration: Calibration, judge: Judge | None
) -> PrecisionPlan:
    """By the recipe; with a judge, relaxed until the masks meet the gate."""
    from edgekit.precision.int8 import plan_int8
    from edgekit.precision.int8_search import Returned, relax

    recipe = target.int8
    assert recipe is not None  # a profile of precision int8 has it
    _, *others = model.programs
    measured = calibration.by_role
    still = tuple(plan_int8(each, measured.get(each.role), recipe) for each in others)

    def part(returned: Returned) -> PartPlan:
        return plan_int8(model.encoder, measured[Role.ENCODER], recipe, returned=returned)

    returned: Returned = {}
    if judge:
        returned = relax(part({}), lambda returned: judge((part(returned), *still)))
    name = f"int8 of {target.name}" + (", then search" if returned else "")
    return PrecisionPlan(asked=Precision.INT8, recipe=name, parts=(part(returned), *still))
