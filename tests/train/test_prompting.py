"""Sampled prompts are where their labels say."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.records import Label
from edgekit.train.data.prompting import KINDS, SLOTS, sample_prompt
from edgekit.train.data.scenes import REDUCTION

COVER = np.zeros((64, 64), np.float32)
COVER[20:40, 10:22] = 1
COVER[30:40, 22:50] = 1  # an L: the centre of its box is background
BOX = np.array([10, 20, 50, 40]) * REDUCTION


def sampled(kind: str, count: int = 60):
    mix = [float(name == kind) for name in KINDS]
    return [sample_prompt(COVER, np.random.default_rng(seed), mix=mix) for seed in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_points_match_their_labels(kind: str) -> None:
    background = 0
    for prompt in sampled(kind):
        assert prompt.kind == kind
        assert prompt.coords.shape == (SLOTS, 2)
        for (x, y), label in zip(prompt.coords, prompt.labels, strict=True):
            inside = COVER[int(y) // REDUCTION, int(x) // REDUCTION]
            if label == Label.FOREGROUND:
                assert inside == 1
            if label == Label.BACKGROUND:
                assert inside == 0
                background += 1
        assert prompt.labels[-1] == Label.EMPTY  # reserved for a correction
    assert bool(background) == (kind == "points")


def test_kinds_have_their_labels() -> None:
    counts = {
        kind: {tuple(sorted(p.labels[p.labels >= 0])) for p in sampled(kind)} for kind in KINDS
    }
    assert counts["box"] == {(2, 3)}
    assert counts["point"] == {(1,)}
    assert counts["points"] == {(1, 1), (1, 1, 1), (0, 1), (0, 1, 1)}
    assert counts["box_point"] == {(1, 2, 3)}


def test_boxes_are_exact_or_jittered_within_bounds() -> None:
    corners = np.array([p.coords[:2].ravel() for p in sampled("box", 200)])
    off = np.abs(corners - BOX)
    sides = np.tile([BOX[2] - BOX[0], BOX[3] - BOX[1]], 2)
    assert (off <= np.minimum(0.15 * sides, 20) + 1e-3).all()
    exact = (off == 0).all(axis=1).mean()
    assert 0.35 < exact < 0.65
    assert off.max() > 5
