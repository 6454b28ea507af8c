"""Batches: scenes and prompts as tensors. A batch depends on its random generator alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import FloatArray
from edgekit.train.data.annotations import AnnotatedPhoto
from edgekit.train.data.prompting import SampledPrompt, sample_prompt
from edgekit.train.data.scenes import Scene, SceneStyle, compose

FRAME = SAM_CLIENT.preprocessing.frame
IMAGENET_MEAN = SAM_CLIENT.preprocessing.mean
IMAGENET_DEVIATION = SAM_CLIENT.preprocessing.std


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """The number of `windows`, their side `size` in pixels, and the `prompts` in each.

    `zoom` is the number of frame pixels per window pixel. Above 1, the window is the whole frame at
    low resolution, which shows large objects in place at little cost.
    """

    size: int
    windows: int
    prompts: int
    zoom: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """K windows with P prompts each, sorted by window.

    rgb: [K, 3, S, S] in 0-255. valid: [K, 1, S, S], 1 where there is a photo, 0 for padding.
    corners: [K, 2], left and top of the window in frame pixels.
    coords: [K * P, N, 2] in frame pixels. labels: [K * P, N].
    targets: [K * P, S / 4, S / 4], coverage in [0, 1]. single: [K * P], 1 for one-point prompts.
    zoom: frame pixels per pixel of rgb.
    """

    rgb: Tensor
    valid: Tensor
    corners: Tensor
    coords: Tensor
    labels: Tensor
    targets: Tensor
    single: Tensor
    zoom: int = 1

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to a device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "zoom"}
        moved = {name: tensor.to(device) for name, tensor in tensors.items()}
        return Batch(**moved, zoom=self.zoom)


def make_batch(
    photos: Sequence[AnnotatedPhoto],
    rng: np.random.Generator,
    *,
    shape: BatchSize,
    style: SceneStyle,
    mix: Sequence[float],
) -> Batch:
    """Draw a batch; all randomness comes from `rng`."""
    whole = shape.size * shape.zoom >= FRAME
    scenes = [
        compose(photos, rng, size=shape.size, style=style, whole=whole)
        for _ in range(shape.windows)
    ]
    targets, prompts, offsets = [], [], []
    for scene in scenes:
        for index in _prompted(scene, rng, shape.prompts):
            cover = scene.regions[index]
            targets.append(cover)
            prompts.append(sample_prompt(cover, rng, mix=mix))
            offsets.append((scene.window.left, scene.window.top))
    rgb = torch.from_numpy(np.stack([scene.pixels for scene in scenes])).permute(0, 3, 1, 2)
    valid = torch.from_numpy(np.stack([scene.valid for scene in scenes]))
    coords = _stack([p.coords for p in prompts]) + torch.tensor(offsets).float().unsqueeze(1)
    return Batch(
        rgb=rgb.float().contiguous(memory_format=torch.channels_last),
        valid=valid.unsqueeze(1).float(),
        corners=torch.tensor([(s.window.left, s.window.top) for s in scenes]),
        coords=coords * shape.zoom,
        labels=_stack([p.labels for p in prompts]),
        targets=_stack(targets),
        single=torch.tensor([float(_one_point(p)) for p in prompts]),
        zoom=shape.zoom,
    )


def _stack(arrays: list[FloatArray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _one_point(prompt: SampledPrompt) -> bool:
    return prompt.kind == "point"


def _prompted(scene: Scene, rng: np.random.Generator, count: int) -> list[int]:
    """Indices of the regions to prompt: all in random order, repeated until there are `count`."""
    order: list[int] = []
    while len(order) < count:
        order.extend(int(i) for i in rng.permutation(len(scene.regions)))
    return order[:count]


def normalise(batch: Batch) -> Tensor:
    """The encoder's input [K, 3, S, S]: normalised by mean and deviation, padding exactly 0."""
    mean = torch.tensor(IMAGENET_MEAN, device=batch.rgb.device).view(3, 1, 1)
    deviation = torch.tensor(IMAGENET_DEVIATION, device=batch.rgb.device).view(3, 1, 1)
    return ((batch.rgb - mean) / deviation * batch.valid).contiguous(
        memory_format=torch.channels_last
    )
