"""Batches: scenes and prompts. A batch is a function of its random generator alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.train.data.canvases import Canvases
from edgekit.train.data.prompting import KINDS, SampledPrompts, sample_prompts
from edgekit.train.data.scenes import Scenes, SceneStyle, compose

FRAME = SAM_CLIENT.preprocessing.frame
IMAGENET_MEAN = SAM_CLIENT.preprocessing.mean
IMAGENET_DEVIATION = SAM_CLIENT.preprocessing.std


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """The number of `frames`, and the `prompts` in each.

    `zoom` is the number of frame pixels per pixel: 1 is the frame as at inference, 2 the same at
    half resolution, which costs a quarter.
    """

    frames: int
    prompts: int
    zoom: int = 1

    @property
    def side(self) -> int:
        """Pixels of a frame's side."""
        return FRAME // self.zoom


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """K frames with P prompts each, sorted by frame.

    rgb: [K, 3, S, S] in 0-255. valid: [K, 1, S, S], 1 where there is a photo, 0 for padding.
    coords: [K * P, N, 2] in frame pixels. labels: [K * P, N].
    targets: [K * P, S / 4, S / 4], coverage in [0, 1]. usable: [K * P], false where there is
    nothing to learn from. single: [K * P], 1 for one-point prompts.
    zoom: frame pixels per pixel of rgb.
    """

    rgb: Tensor
    valid: Tensor
    coords: Tensor
    labels: Tensor
    targets: Tensor
    usable: Tensor
    single: Tensor
    zoom: int = 1


def make_batch(
    photos: Canvases,
    generator: torch.Generator,
    *,
    shape: BatchSize,
    style: SceneStyle,
    mix: Sequence[float],
) -> Batch:
    """Draw a batch on the photos' device, which is the generator's too."""
    chosen = torch.randint(
        len(photos), (shape.frames,), generator=generator, device=photos.rgb.device
    )
    scenes = compose(photos, chosen, generator, side=shape.side, masks=shape.prompts, style=style)
    prompts = sample_prompts(scenes.covers, generator, mix=mix)
    return batch_of(scenes, prompts, zoom=shape.zoom)


def batch_of(scenes: Scenes, prompts: SampledPrompts, *, zoom: int) -> Batch:
    """Scenes with a prompt for each of their masks."""
    return Batch(
        rgb=scenes.rgb,
        valid=scenes.valid,
        coords=prompts.coords * zoom,
        labels=prompts.labels,
        targets=scenes.covers,
        usable=scenes.usable,
        single=(prompts.kinds == KINDS.index("point")).float(),
        zoom=zoom,
    )


def normalised(rgb: Tensor) -> Tensor:
    """Images [K, 3, S, S] in 0-255 by ImageNet's mean and deviation."""
    mean = torch.tensor(IMAGENET_MEAN, device=rgb.device).view(3, 1, 1)
    deviation = torch.tensor(IMAGENET_DEVIATION, device=rgb.device).view(3, 1, 1)
    return (rgb - mean) / deviation


def encoder_input(batch: Batch) -> Tensor:
    """The encoder's input [K, 3, S, S]: normalised, with padding exactly 0."""
    image = normalised(batch.rgb) * batch.valid
    return image.contiguous(memory_format=torch.channels_last)
