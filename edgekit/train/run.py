"""A training run from request to result: the story of `edgekit train`.

annotations, photos --read--> Data;  model --start--> Student
    --teacher's stage--> Student --stage with masks--> the average of its weights
    --write--> <student>.safetensors, MODEL_CARD.md, curve.png
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from edgekit import store
from edgekit.catalog.runtimes import install_command
from edgekit.errors import BadInput
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import ModelRow, WeightsSource
from edgekit.train.data.reading import Data, read_data
from edgekit.train.request import TrainRequest
from edgekit.train.result.card_facts import LICENCE, facts_of
from edgekit.train.result.curve import can_plot, curve_png
from edgekit.train.result.model_card import CardFacts, model_card
from edgekit.train.result.weights_file import write_weights
from edgekit.train.stages.arithmetic import frames_per_step, training_device
from edgekit.train.stages.driving import CurvePoint, Observer, drive
from edgekit.train.stages.lesson import LessonStage
from edgekit.train.stages.masks import MaskStage
from edgekit.train.stages.schedule import Schedule, schedule_for
from edgekit.train.stages.starting import scale_neck, starting_student
from edgekit.train.stages.student import Student
from edgekit.train.teachers.choosing import Teacher, teacher_for
from edgekit.train.trainable import require_trainable


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """The files of a finished run, and its last figures on held-out photos.

    `curve` is None where matplotlib is not installed.
    """

    weights: Path
    card: Path
    curve: Path | None
    held_out: dict[str, float]


def train(request: TrainRequest, *, observer: Observer) -> TrainResult:
    """Train to the end, resuming from the checkpoints in `out` if there are any.

    Raises:
        UnknownName: the registry has no such student or teacher.
        BadInput: the student cannot be trained, there is nothing to learn from, or data, weights or
            a checkpoint cannot be used.
        WeightsUnavailable: the teacher's or the initial weights cannot be found.
    """
    row = registry.model(request.student)
    _require_source(request)
    require_trainable(row)
    init = locate(row, request.init) if request.init else None
    device = training_device()
    teacher = _teacher(request, device)
    data = read_data(request.annotations, request.photos).to(device)
    settings = _settings(request, init, teacher)
    student = starting_student(row, init, teacher, seed=request.seed).to(device)
    schedule = _schedule(request, student, device)
    request.out.mkdir(parents=True, exist_ok=True)
    if not can_plot():
        observer.warning(
            "matplotlib is not installed, so there will be no curve.png. "
            f"To get one: {install_command('plots')}"
        )
    curve: list[CurvePoint] = []
    weights: Mapping[str, Tensor] = student.state_dict()
    if teacher:
        lesson = teacher.lesson(student, row, data, seed=request.seed).to(device)
        lessons = LessonStage(lesson, steps=request.teacher_steps)
        path = request.out / "teacher.pt"
        curve += drive(lessons, path, settings=settings, observer=observer)
    if request.annotations:
        masks = _mask_stage(request, student, data, schedule, teacher)
        path = request.out / "checkpoint.pt"
        curve += _appended(curve, drive(masks, path, settings=settings, observer=observer))
        weights = masks.average.state_dict()
    held_out = next((point.held_out for point in reversed(curve) if point.held_out), {})
    about = teacher.description if teacher else None
    facts = facts_of(request, row, schedule, teacher=about, held_out=held_out, coco=data.coco)
    return write_result(request.out, row, facts, weights=weights, curve=curve)


def _require_source(request: TrainRequest) -> None:
    if not (request.annotations or request.teacher):
        raise BadInput(
            "There is nothing to learn from.",
            expected="--annotations COCO.json, or --teacher MODEL with --photos DIR, or both",
        )


def _schedule(request: TrainRequest, student: Student, device: torch.device) -> Schedule:
    return schedule_for(
        request.steps,
        frames=request.batch or frames_per_step(device),
        refines=bool(request.init),
        any_size=student.takes_any_size,
    )


def _teacher(request: TrainRequest, device: torch.device) -> Teacher | None:
    if request.teacher is None:
        return None
    return teacher_for(request.teacher, request.teacher_weights, device=device, seed=request.seed)


def _settings(
    request: TrainRequest, init: WeightsSource | None, teacher: Teacher | None
) -> dict[str, str]:
    """What identifies a run. The number of steps is not part of it, so that it may be changed."""
    files = [file.sha256 for file in init.files] or [f"{init.seed}"] if init else []
    return {
        "student": request.student,
        "seed": str(request.seed),
        "batch": str(request.batch or "by the device"),
        "annotations": " ".join(map(store.sha256_of, request.annotations)) or "none",
        "photos": str(request.photos.resolve()) if request.photos else "none",
        "teacher": teacher.description if teacher else "none",
        "init": " ".join(files) or "none",
    }


def _mask_stage(
    request: TrainRequest,
    student: Student,
    data: Data,
    schedule: Schedule,
    teacher: Teacher | None,
) -> MaskStage:
    if not request.init and not (teacher and teacher.embeddings):
        scale_neck(student, data.train, schedule.phases[0], seed=request.seed)
    return MaskStage(
        student,
        schedule,
        data.train,
        held_out=data.held_out,
        seed=request.seed,
        distillation=teacher.features if teacher else None,
    )


def _appended(earlier: Sequence[CurvePoint], later: Sequence[CurvePoint]) -> list[CurvePoint]:
    """The later stage's points, numbered on from the earlier stage's last step."""
    start = earlier[-1].step if earlier else 0
    return [replace(point, step=point.step + start) for point in later]


def write_result(
    out: Path,
    row: ModelRow,
    facts: CardFacts,
    *,
    weights: Mapping[str, Tensor],
    curve: Sequence[CurvePoint],
) -> TrainResult:
    """Write the files of a result into `out`; `weights` is a `Student`'s state dict.

    Raises:
        BadInput: the weights are not finite.
    """
    picture = out / "curve.png" if can_plot() else None
    result = TrainResult(
        weights=out / f"{row.name}.safetensors",
        card=out / "MODEL_CARD.md",
        curve=picture,
        held_out=dict(facts.held_out),
    )
    metadata = {
        "model": row.name,
        "licence": LICENCE,
        "seed": str(facts.seed),
        "tool": "edgekit",
    }
    write_weights(result.weights, weights, row, metadata=metadata)
    store.write_atomic(result.card, model_card(facts))
    if picture:
        title = f"Training {row.title}, seed {facts.seed}"
        store.write_atomic(picture, curve_png(curve, title=title))
    return result
