"""What a user asks `edgekit train` for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What is asked for.

    student: a model of the registry. out: where the result and the checkpoints go; a run that was
    stopped goes on from there. annotations: COCO instances, for the stage with masks. photos: the
    folder where those lie, and what a teacher shows besides. teacher: a model of the registry or
    "mobilenetv2". init: as `--weights`; empty starts from nothing.
    """

    student: str
    out: Path
    annotations: Path | None = None
    photos: Path | None = None
    teacher: str | None = None
    teacher_weights: tuple[str, ...] = ()
    init: tuple[str, ...] = ()
    steps: int = 2400
    teacher_steps: int = 505
    seed: int = 0


def command_of(request: TrainRequest) -> str:
    """What to type to repeat a request."""
    options: dict[str, tuple[object, ...]] = {
        "--annotations": (request.annotations,),
        "--photos": (request.photos,),
        "--teacher": (request.teacher,),
        "--teacher-weights": request.teacher_weights,
        "--teacher-steps": (request.teacher_steps if request.teacher else None,),
        "--init": request.init,
        "--steps": (request.steps if request.annotations else None,),
        "--seed": (request.seed,),
    }
    words = ["edgekit", "train", request.student]
    for option, values in options.items():
        for value in values:
            words += [option, str(value)] if value is not None else []
    return shlex.join(words)
