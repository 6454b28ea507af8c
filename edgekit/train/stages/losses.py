"""Losses on masks and on the IoU head: balanced cross-entropy early, focal later, dice always.

SAM's weights (twenty times focal, plus dice) from the first step drive every mask of an untrained
student to empty. Class-balanced cross-entropy does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LossMix:
    """How cross-entropy is weighted.

    `balance` is the share of the class-balanced loss, in which the inside and the outside of a
    region weigh the same. The rest is focal: every pixel weighs the same relative to the region's
    size, with exponent `gamma`.
    """

    balance: float
    gamma: float = 0.0


def mask_losses(logits: Tensor, target: Tensor, mix: LossMix) -> Tensor:
    """Loss [B, M] of `logits` [B, M, h, w] against the coverage `target` [B, h, w] in [0, 1]."""
    wanted = target.unsqueeze(1).expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    probability = logits.sigmoid()
    area = target.sum(dim=(1, 2)).unsqueeze(1)
    overlap = (probability * wanted).sum(dim=(2, 3))
    dice = 1 - (2 * overlap + 1) / (probability.sum(dim=(2, 3)) + area + 1)
    loss = dice
    if mix.balance > 0:
        inside = (entropy * wanted).sum(dim=(2, 3)) / (area + 1)
        outside = (entropy * (1 - wanted)).mean(dim=(2, 3)) / (1 - wanted).mean(dim=(2, 3)).clamp(
            min=0.05
        )
        loss = loss + mix.balance * 0.5 * (inside + outside)
    if mix.balance < 1:
        wrong = (probability.detach() - wanted).abs()
        plain = (entropy * wrong**mix.gamma).sum(dim=(2, 3)) / (1.5 * area + 20)
        loss = loss + (1 - mix.balance) * plain
    return loss


@torch.no_grad()
def hard_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU [B, M] of the masks (logits > 0) with the region (coverage > 0.5)."""
    mask, wanted = logits > 0, (target > 0.5).unsqueeze(1)
    both = (mask & wanted).sum(dim=(2, 3)).float()
    return both / (mask | wanted).sum(dim=(2, 3)).clamp(min=1)


def prompt_loss(
    logits: Tensor, predicted_iou: Tensor, target: Tensor, mix: LossMix, *, ambiguous: Tensor
) -> Tensor:
    """Loss [B] of each prompt.

    Mask 0 is always trained on the region. Of masks 1 to 3 the best one is (arXiv 2304.02643,
    section 3), and a small share goes to all three so that none stops learning. `ambiguous` [B] is
    1 for one-point prompts, whose three masks weigh more.
    """
    losses = mask_losses(logits, target, mix)
    several = losses[:, 1:].min(dim=1).values + 0.05 * losses[:, 1:].mean(dim=1)
    head = F.mse_loss(predicted_iou, hard_iou(logits, target), reduction="none").mean(dim=1)
    return losses[:, 0] + (0.3 + 0.7 * ambiguous) * several + 0.5 * head
