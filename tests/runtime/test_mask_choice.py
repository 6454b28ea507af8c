"""Each rule for choosing among the decoder's masks."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.records import FloatArray, MaskChoice, StableMask
from edgekit.runtime.mask_choice import choose_masks, stability

# Two prompts, four masks of 2 x 2: mask m of prompt b is filled with 10 b + m.
LOW_RES = np.broadcast_to(
    (np.arange(2)[:, None] * 10 + np.arange(4))[..., None, None], (2, 4, 2, 2)
).astype(np.float32)
SCORES = np.array([[0.9, 0.1, 0.3, 0.2], [0.9, 0.8, 0.3, 0.8]], np.float32)


def choose(choice: MaskChoice, low_res: FloatArray = LOW_RES) -> tuple[list, list]:
    masks, scores = choose_masks(choice, low_res, SCORES)
    return masks[:, :, 0, 0].tolist(), scores.tolist()


def test_all_masks_in_the_order_of_the_rule() -> None:
    masks, scores = choose(MaskChoice(masks=(3, 1)))
    assert masks == [[3, 1], [13, 11]]
    assert scores == np.take(SCORES, [3, 1], axis=1).tolist()


def test_best_score_wins_and_the_first_of_equals() -> None:
    assert choose(MaskChoice(masks=(1, 2, 3), keep="best"))[0] == [[2], [11]]


@pytest.mark.parametrize(("area", "index"), [(49, 0), (48, 2)])
def test_stable_mask_is_preferred(area: int, index: int) -> None:
    """The threshold is 0.98: 49 of 50 pixels reach it, 48 do not."""
    low_res = np.zeros((1, 4, 10, 5), np.float32)
    low_res[0, 0].reshape(-1)[:area] = 1
    rule = MaskChoice(
        masks=(1, 2, 3),
        keep="best",
        unless_stable=StableMask(index=0, offset=0.05, threshold=0.98),
    )
    masks, scores = choose_masks(rule, low_res, SCORES[:1])
    assert np.array_equal(masks[0, 0], low_res[0, index])
    assert scores == SCORES[:1, [index]]


@pytest.mark.parametrize(("measured", "index"), [(3, 0), (2, 1)])
def test_another_mask_can_be_measured(measured: int, index: int) -> None:
    """HQ-SAM 2 measures its first mask without the fine one. Here only mask 3 is stable."""
    low_res = np.zeros((1, 4, 2, 2), np.float32)
    low_res[0, 3] = 1
    stable = StableMask(index=0, offset=0.5, threshold=0.9, measured=measured)
    rule = MaskChoice(masks=(1,), unless_stable=stable)
    assert choose_masks(rule, low_res, SCORES[:1])[1] == SCORES[0, index]


def test_stability_is_decided_prompt_by_prompt() -> None:
    low_res = np.ones((2, 4, 2, 2), np.float32)
    low_res[1, 0, 0] = 0
    rule = MaskChoice(
        masks=(1, 2),
        keep="best",
        unless_stable=StableMask(index=0, offset=0.5, threshold=0.9),
    )
    assert choose_masks(rule, low_res, SCORES)[1].tolist() == SCORES[[0, 1], [[0, 1]]].T.tolist()


def test_stability_can_replace_the_scores() -> None:
    low_res = np.full((1, 4, 2, 2), -9, np.float32)
    low_res[0, 1] = [[9, 9], [9, 0]]
    low_res[0, 2] = [[9, -9], [-9, 0]]
    _, scores = choose_masks(MaskChoice(masks=(1, 2), stability_offset=1.0), low_res, SCORES[:1])
    assert scores.tolist() == [[0.75, 0.5]]


def test_empty_masks_have_stability_one() -> None:
    assert stability(np.full((3, 4, 4), -9, np.float32), 1.0).tolist() == [1, 1, 1]
