"""The second round of a prompt: another point, placed on an error of the first round."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from edgekit.records import Label
from edgekit.train.data.batches import Batch
from edgekit.train.data.scenes import REDUCTION


@torch.no_grad()
def add_correction(batch: Batch, logits: Tensor, generator: torch.Generator) -> Batch:
    """Add a point to each prompt, drawn from the pixels where `logits` [B, h, w] are wrong.

    It is a foreground point where the mask misses the region, and a background point where it
    extends beyond the region. A prompt without an error keeps its points.
    """
    wanted = batch.targets > 0.5
    error = ((logits > 0) != wanted).flatten(1).float()
    cell = torch.multinomial(error + 1e-9, 1, generator=generator)
    width = batch.targets.shape[2]
    middle = torch.cat([cell % width, cell // width], dim=1) * REDUCTION + REDUCTION / 2
    wrong, foreground = error.gather(1, cell) > 0, wanted.flatten(1).gather(1, cell)
    empty = torch.full_like(batch.labels[:, -1:], Label.EMPTY)
    coords, labels = batch.coords.clone(), batch.labels.clone()
    coords[:, -1] = middle * batch.zoom
    labels[:, -1:] = torch.where(wrong, foreground.to(empty.dtype), empty)
    return replace(batch, coords=coords, labels=labels, single=torch.zeros_like(batch.single))
