"""The request of `edgekit train`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

MASK_STEPS = 2400
"""Steps of the stage with masks, unless a request says otherwise."""

TEACHER_STEPS = 505
"""Steps of the teacher's stage, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """The options of a run.

    student: a model of the registry. out: the folder of the result and the checkpoints; a run that
    was stopped resumes from there. annotations: files of COCO instances, for the stage with masks.
    photos: the folder of those photos; a teacher also uses the ones without annotations. teacher: a
    model of the registry, or "efficientnet-lite2". init: as `--weights`; empty starts from random
    numbers. steps: of the stage with masks. teacher_steps: of the teacher's stage. batch: frames at
    full resolution per step; None takes 1 on a CPU and 16 on a GPU.
    """

    student: str
    out: Path
    annotations: tuple[Path, ...] = ()
    photos: Path | None = None
    teacher: str | None = None
    teacher_weights: tuple[str, ...] = ()
    init: tuple[str, ...] = ()
    steps: int = MASK_STEPS
    teacher_steps: int = TEACHER_STEPS
    batch: int | None = None
    seed: int = 0


def command_of(request: TrainRequest) -> str:
    """The command line that repeats a request."""
    options: dict[str, tuple[object, ...]] = {
        "--annotations": request.annotations,
        "--photos": (request.photos,),
        "--teacher": (request.teacher,),
        "--teacher-weights": request.teacher_weights,
        "--teacher-steps": (request.teacher_steps if request.teacher else None,),
        "--init": request.init,
        "--batch": (request.batch if request.annotations else None,),
        "--steps": (request.steps if request.annotations else None,),
        "--seed": (request.seed,),
    }
    words = ["edgekit", "train", request.student]
    for option, values in options.items():
        for value in values:
            words += [option, str(value)] if value is not None else []
    return shlex.join(words)
