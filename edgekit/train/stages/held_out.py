"""A quick measurement during a run: IoU on windows of photos that are not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edgekit.train.data.annotations import AnnotatedPhoto
from edgekit.train.data.batches import BatchSize, make_batch
from edgekit.train.data.scenes import SceneStyle
from edgekit.train.stages.arithmetic import step_autocast
from edgekit.train.stages.losses import hard_iou
from edgekit.train.stages.student import Student

_WINDOWS = BatchSize(size=384, windows=4, prompts=5)
_FRAMES = BatchSize(size=1024, windows=1, prompts=5)
_BATCHES = 4
_STYLE = SceneStyle(scale=(1024.0, 1024.0), pasted=0.0, stuff=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Mean IoU at low resolution.

    box, point: mask 0 for a box, for one point. best_of_three: the best of masks 1 to 3 for one
    point.
    """

    box: float
    point: float
    best_of_three: float


@torch.no_grad()
def held_out_iou(student: Student, photos: Sequence[AnnotatedPhoto]) -> HeldOut:
    """Score `student` (in eval mode) on fixed windows of `photos`, or on whole frames if it takes
    no windows."""
    boxes = torch.cat([_ious(student, photos, seed=i, kind="box") for i in range(_BATCHES)])
    points = torch.cat([_ious(student, photos, seed=i, kind="point") for i in range(_BATCHES)])
    return HeldOut(
        box=float(boxes[:, 0].mean()),
        point=float(points[:, 0].mean()),
        best_of_three=float(points[:, 1:].max(dim=1).values.mean()),
    )


def _ious(
    student: Student, photos: Sequence[AnnotatedPhoto], *, seed: int, kind: str
) -> torch.Tensor:
    mix = (1.0, 0.0, 0.0, 0.0) if kind == "box" else (0.0, 1.0, 0.0, 0.0)
    rng = np.random.default_rng([90, seed])
    shape = _WINDOWS if student.takes_windows else _FRAMES
    batch = make_batch(photos, rng, shape=shape, style=_STYLE, mix=mix)
    device = next(student.parameters()).device
    batch = batch.to(device)
    with step_autocast(device):
        logits, _ = student.decode(student.embed(batch), batch)
    return hard_iou(logits, batch.targets).cpu()
