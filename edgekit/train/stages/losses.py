"""Mask losses: balanced cross-entropy first, focal later, dice always, and the IoU head.

Twenty times focal plus dice from the first step (SAM's weights) drives every mask of an untrained
student to empty; class-balanced cross-entropy does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LossMix:
    """`balance` 1: both classes of a mask weigh the same; 0: every pixel does, relative to the
    region's size. `gamma` is the focal exponent of the latter.
    """

    balance: float
    gamma: float = 0.0


def mask_losses(logits: Tensor, target: Tensor, mix: LossMix) -> Tensor:
    """Loss [B, M] of `logits` [B, M, h, w] against coverage `target` [B, h, w]."""
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
    """Mean loss over B prompts.

    Mask 0 always answers for the region. Of masks 1 to 3 the best one does (arXiv 2304.02643,
    section 3); a small share for all three keeps each of them alive. `ambiguous` [B] is 1 for
    one-point prompts, where that matters most.
    """
    losses = mask_losses(logits, target, mix)
    several = losses[:, 1:].min(dim=1).values + 0.05 * losses[:, 1:].mean(dim=1)
    head = F.mse_loss(predicted_iou, hard_iou(logits, target), reduction="none").mean(dim=1)
    return (losses[:, 0] + (0.3 + 0.7 * ambiguous) * several + 0.5 * head).mean()
