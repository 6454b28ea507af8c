"""The second round: a point on the first round's mistake, and its logits as mask prompt."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from edgekit.records import Label
from edgekit.train.data.batches import Batch
from edgekit.train.data.scenes import REDUCTION


@torch.no_grad()
def corrected(batch: Batch, logits: Tensor, generator: torch.Generator) -> Batch:
    """The batch with one more point per prompt, drawn from the error of `logits` [B, h, w].

    It is a foreground point where the region was missed and a background point where the mask
    spilled. A prompt without an error keeps its points.
    """
    wanted = batch.targets > 0.5
    error = ((logits > 0) != wanted).flatten(1).float()
    width = batch.targets.shape[-1]
    # drawn on the CPU, where `generator` lives, so that a GPU draws the same
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
