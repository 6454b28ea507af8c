"""A quick measurement during a run: IoU on whole photos that are not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.train.data.batches import Batch, BatchSize, batch_of
from edgekit.train.data.canvases import Canvases
from edgekit.train.data.prompting import KINDS, sample_prompts
from edgekit.train.data.random_numbers import Purpose, generator_for
from edgekit.train.data.scenes import Scenes, SceneStyle, compose
from edgekit.train.stages.arithmetic import step_autocast
from edgekit.train.stages.losses import hard_iou
from edgekit.train.stages.student import Student

_SIZE = BatchSize(frames=1, prompts=6)
_PHOTOS = 16
_STYLE = SceneStyle(whole=1.0, pasted=0.0)


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
def held_out_iou(student: Student, photos: Canvases) -> HeldOut:
    """Score `student` (in eval mode) on masks of the first photos; the same ones each time."""
    boxes, points = [], []
    for first in range(0, min(len(photos), _PHOTOS), _SIZE.frames):
        for_boxes, for_points = _ious(student, photos, first)
        boxes.append(for_boxes)
        points.append(for_points)
    return HeldOut(
        box=float(torch.cat(boxes)[:, 0].mean()),
        point=float(torch.cat(points)[:, 0].mean()),
        best_of_three=float(torch.cat(points)[:, 1:].amax(dim=1).mean()),
    )


def _ious(student: Student, photos: Canvases, first: int) -> tuple[Tensor, Tensor]:
    """IoU [B, 4] of all masks for boxes and for points, on the photos from `first` on."""
    device = photos.rgb.device
    generator = generator_for(Purpose.HELD_OUT, first, device=device)
    chosen = torch.arange(first, min(first + _SIZE.frames, len(photos)), device=device)
    scenes = compose(photos, chosen, generator, side=_SIZE.side, masks=_SIZE.prompts, style=_STYLE)
    batches = [_batch(scenes, kind, generator) for kind in ("box", "point")]
    with step_autocast(device):
        embeddings = student.embed(batches[0])
        answers = [student.decode(embeddings, batch)[0] for batch in batches]
    for_boxes, for_points = (
        hard_iou(logits, batch.targets)[batch.usable]
        for logits, batch in zip(answers, batches, strict=True)
    )
    return for_boxes, for_points


def _batch(scenes: Scenes, kind: str, generator: torch.Generator) -> Batch:
    mix = [float(each == kind) for each in KINDS]
    prompts = sample_prompts(scenes.covers, generator, mix=mix)
    return batch_of(scenes, prompts, zoom=_SIZE.zoom)
