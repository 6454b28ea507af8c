"""Losses on masks with a known loss."""

from __future__ import annotations

import pytest
import torch

from edgekit.train.stages.losses import LossMix, hard_iou, mask_losses, prompt_loss

TARGET = torch.zeros(1, 32, 32)
TARGET[:, 8:24, 8:16] = 1
SURE = 30.0
PERFECT = (2 * TARGET - 1).unsqueeze(1) * SURE
EMPTY = torch.full((1, 1, 32, 32), -SURE)
MIXES = [LossMix(balance=1.0), LossMix(balance=0.5), LossMix(balance=0.0, gamma=1.0)]


@pytest.mark.parametrize("mix", MIXES)
def test_only_a_perfect_mask_has_no_loss(mix: LossMix) -> None:
    assert mask_losses(PERFECT, TARGET, mix).item() == pytest.approx(0, abs=1e-4)
    empty = mask_losses(EMPTY, TARGET, mix).item()
    full = mask_losses(-EMPTY, TARGET, mix).item()
    assert empty > 1
    assert full > 0.7
    half = PERFECT.clone()
    half[:, :, 16:] = -SURE
    assert 0.2 < mask_losses(half, TARGET, mix).item() < empty


def test_the_loss_of_the_empty_mask_computed_by_hand() -> None:
    # 128 of 1024 pixels wanted, each with an entropy of 30; dice 1 - 1 / (128 + 1)
    balanced = mask_losses(EMPTY, TARGET, LossMix(balance=1.0)).item()
    assert balanced == pytest.approx(1 - 1 / 129 + 0.5 * 30 * 128 / 129, rel=1e-4)
    plain = mask_losses(EMPTY, TARGET, LossMix(balance=0.0)).item()
    assert plain == pytest.approx(1 - 1 / 129 + 30 * 128 / (1.5 * 128 + 20), rel=1e-4)


def test_an_untrained_mask_is_pulled_towards_the_region() -> None:
    logits = torch.zeros(1, 1, 32, 32, requires_grad=True)
    mask_losses(logits, TARGET, LossMix(balance=1.0)).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[0, 0][TARGET[0] == 1] < 0).all()
    assert (logits.grad[0, 0][TARGET[0] == 0] > 0).all()


def test_iou_counts_pixels() -> None:
    half = PERFECT.clone()
    half[:, :, 16:] = -SURE
    both = torch.cat([PERFECT, half, EMPTY], dim=1)
    assert hard_iou(both, TARGET)[0].tolist() == [1.0, 0.5, 0.0]


def test_mask_0_and_the_best_of_three_are_trained() -> None:
    mix = LossMix(balance=1.0)
    single = torch.ones(1)
    good = torch.cat([PERFECT, EMPTY, PERFECT, EMPTY], dim=1)
    wrong_first = torch.cat([EMPTY, PERFECT, PERFECT, PERFECT], dim=1)
    iou = hard_iou(good, TARGET)
    loss = prompt_loss(good, iou, TARGET, mix, ambiguous=single).item()
    others = 0.05 * 2 / 3 * mask_losses(EMPTY, TARGET, mix).item()
    assert loss == pytest.approx(others, abs=1e-3)
    iou = hard_iou(wrong_first, TARGET)
    assert prompt_loss(wrong_first, iou, TARGET, mix, ambiguous=single).item() > 5


def test_the_iou_head_learns_the_true_iou() -> None:
    mix, single = LossMix(balance=1.0), torch.ones(1)
    good = PERFECT.expand(-1, 4, -1, -1)
    right = prompt_loss(good, torch.ones(1, 4), TARGET, mix, ambiguous=single)
    wrong = prompt_loss(good, torch.zeros(1, 4), TARGET, mix, ambiguous=single)
    assert (wrong - right).item() == pytest.approx(0.5, abs=1e-4)
