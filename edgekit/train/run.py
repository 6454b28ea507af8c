"""A training run from request to result: the story of `edgekit train` on one screen.

annotations, photos --read--> Data;  model --start--> Student
    --teacher's stage--> Student --masks' stage--> its average
    --write--> <student>.safetensors, MODEL_CARD.md, curve.png
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from edgekit import store
from edgekit.errors import BadInput
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import ModelRow
from edgekit.train.data.reading import Data, read_data
from edgekit.train.request import TrainRequest
from edgekit.train.result.card_facts import LICENCE, facts_of
from edgekit.train.result.curve import curve
from edgekit.train.result.model_card import model_card
from edgekit.train.result.weights_file import write_weights
from edgekit.train.stages.driving import Mark, Watch, drive
from edgekit.train.stages.masks import Trainer
from edgekit.train.stages.recipe import Recipe, frames_recipe, windows_recipe
from edgekit.train.stages.starting import settle, starting_student
from edgekit.train.stages.student import Student
from edgekit.train.teachers.choosing import Teacher, teacher_for
from edgekit.train.teachers.lessons import TeacherStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run made; `held_out` are the last figures on photos that it did not train on."""

    weights: Path
    card: Path
    curve: Path
    held_out: dict[str, float]


def train(request: TrainRequest, *, watch: Watch) -> Trained:
    """Run to the end, from the last checkpoints in `out` if there are some.

    Raises:
        UnknownName: no such student or teacher.
        BadInput: nothing to learn from, or data, weights or a checkpoint that cannot be used.
        WeightsUnavailable: the teacher's or the starting weights are not to be had.
    """
    row = registry.model(request.student)
    _refuse_idle(request)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = _teacher(request, device)
    settings = _settings(request, row, teacher)
    data = read_data(request.annotations, request.photos)
    student = starting_student(row, request.init, teacher, seed=request.seed).to(device)
    recipe = _recipe(request, student)
    request.out.mkdir(parents=True, exist_ok=True)
    marks: list[Mark] = []
    weights: Mapping[str, Tensor] = student.state_dict()
    if teacher:
        lesson = teacher.lesson(student, row, data, seed=request.seed)
        lessons = TeacherStage(lesson, steps=request.teacher_steps)
        marks += drive(lessons, request.out / "teacher.pt", settings=settings, watch=watch)
    if request.annotations:
        masks = _masks_stage(request, student, data, recipe, teacher)
        later = drive(masks, request.out / "checkpoint.pt", settings=settings, watch=watch)
        marks += _after(marks, later)
        weights = masks.average.state_dict()
    about = teacher.about if teacher else None
    return write_result(request, row, recipe, weights=weights, marks=marks, teacher=about)


def _recipe(request: TrainRequest, student: Student) -> Recipe:
    if student.takes_windows:
        return windows_recipe(request.steps, refines=bool(request.init))
    return frames_recipe(request.steps)


def _refuse_idle(request: TrainRequest) -> None:
    if not (request.annotations or request.teacher):
        raise BadInput(
            "There is nothing to learn from.",
            expected="--annotations COCO.json, or --teacher MODEL with --photos DIR, or both",
        )


def _teacher(request: TrainRequest, device: torch.device) -> Teacher | None:
    if request.teacher is None:
        return None
    return teacher_for(request.teacher, request.teacher_weights, device=device, seed=request.seed)


def _settings(request: TrainRequest, row: ModelRow, teacher: Teacher | None) -> dict[str, str]:
    """What makes a run this run and no other; the numbers of steps may change on the way."""
    source = locate(row, request.init) if request.init else None
    files = [file.sha256 for file in source.files] or [f"{source.seed}"] if source else []
    annotations = request.annotations
    known = annotations is not None and annotations.is_file()
    return {
        "student": request.student,
        "seed": str(request.seed),
        "annotations": store.sha256_of(annotations) if annotations and known else "none",
        "photos": str(request.photos.resolve()) if request.photos else "none",
        "teacher": teacher.about if teacher else "none",
        "init": " ".join(files) or "none",
    }


def _masks_stage(
    request: TrainRequest,
    student: Student,
    data: Data,
    recipe: Recipe,
    teacher: Teacher | None,
) -> Trainer:
    if not request.init and not (teacher and teacher.embeddings):
        settle(student, data, recipe.phases[0], seed=request.seed)
    return Trainer(
        student,
        recipe,
        data.train,
        held=data.held,
        seed=request.seed,
        distillation=teacher.features if teacher else None,
    )


def _after(former: Sequence[Mark], later: Sequence[Mark]) -> list[Mark]:
    """The later stage's marks on the axis that the former began."""
    start = former[-1].step if former else 0
    return [replace(mark, step=mark.step + start) for mark in later]


def write_result(
    request: TrainRequest,
    row: ModelRow,
    recipe: Recipe,
    *,
    weights: Mapping[str, Tensor],
    marks: Sequence[Mark],
    teacher: str | None,
) -> Trained:
    """Write the three files of a result into `out`; `weights` is a `Student`'s state dict.

    Raises:
        BadInput: the weights are not finite.
    """
    held_out = next((mark.held_out for mark in reversed(marks) if mark.held_out), {})
    facts = facts_of(request, row, recipe, teacher=teacher, held_out=held_out)
    made = Trained(
        weights=request.out / f"{row.name}.safetensors",
        card=request.out / "MODEL_CARD.md",
        curve=request.out / "curve.png",
        held_out=held_out,
    )
    about = {"model": row.name, "licence": LICENCE, "seed": str(request.seed), "tool": "edgekit"}
    write_weights(made.weights, weights, row, metadata=about)
    store.write_atomic(made.card, model_card(facts))
    picture = io.BytesIO()
    curve(marks, title=f"{row.title}, seed {request.seed}").save(picture, format="PNG")
    store.write_atomic(made.curve, picture.getvalue())
    return made
