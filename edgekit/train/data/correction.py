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
    width = batch.targets.shape[-1]
    # Drawn on the CPU, where `generator` is, so that a GPU gets the same points.
    cell = torch.multinomial(error.cpu() + 1e-9, 1, generator=generator).squeeze(1).to(error.device)
    row, column = cell // width, cell % width
    per_window = batch.coords.shape[0] // batch.corners.shape[0]
    corner = batch.corners.repeat_interleave(per_window, dim=0)
    within = torch.stack([column, row], dim=1) * REDUCTION + REDUCTION / 2
    point = (within + corner) * batch.zoom
    foreground = wanted.flatten(1).gather(1, cell.unsqueeze(1)).squeeze(1).float()
    wrong = error.gather(1, cell.unsqueeze(1)).squeeze(1) > 0
    coords, labels = batch.coords.clone(), batch.labels.clone()
    slot = coords.shape[1] - 1
    coords[:, slot] = point
    labels[:, slot] = torch.where(wrong, foreground, torch.tensor(float(Label.EMPTY)))
    return replace(batch, coords=coords, labels=labels, single=torch.zeros_like(batch.single))
