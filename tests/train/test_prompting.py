"""Sampled prompts are where their labels say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgekit.records import Label
from edgekit.train.data.prompting import (
    KINDS,
    SLOTS,
    SampledPrompts,
    boxes_around,
    sample_prompts,
)
from edgekit.train.data.random_numbers import generator_for
from edgekit.train.data.scenes import REDUCTION

COVER = torch.zeros(64, 64)
COVER[20:40, 10:22] = 1
COVER[30:40, 22:50] = 1  # an L: the centre of its box is background
BOX = torch.tensor([10, 20, 50, 40]) * REDUCTION


def sampled(kind: str, count: int = 60, *, seed: int = 0) -> SampledPrompts:
    mix = [float(name == kind) for name in KINDS]
    generator = generator_for(seed, device=torch.device("cpu"))
    return sample_prompts(COVER.expand(count, -1, -1), generator, mix=mix)


def cover_at(place: Tensor) -> float:
    x, y = (place // REDUCTION).long().tolist()
    return float(COVER[y, x])


@pytest.mark.parametrize("kind", KINDS)
def test_points_match_their_labels(kind: str) -> None:
    prompts, background = sampled(kind), 0
    assert prompts.coords.shape == (60, SLOTS, 2)
    assert (prompts.kinds == KINDS.index(kind)).all()
    for places, labels in zip(prompts.coords, prompts.labels, strict=True):
        for place, label in zip(places, labels, strict=True):
            if label == Label.FOREGROUND:
                assert cover_at(place) == 1
            if label == Label.BACKGROUND:
                assert cover_at(place) == 0
                background += 1
        assert labels[-1] == Label.EMPTY  # reserved for a correction
    assert bool(background) == (kind == "points")


def test_kinds_have_their_labels() -> None:
    counts = {}
    for kind in KINDS:
        rows = sampled(kind).labels
        counts[kind] = {tuple(sorted(row[row >= 0].int().tolist())) for row in rows}
    assert counts["box"] == {(2, 3)}
    assert counts["point"] == {(1,)}
    assert counts["points"] == {(1, 1), (1, 1, 1), (0, 1), (0, 1, 1)}
    assert counts["box_point"] == {(1, 2, 3)}


def test_many_points_are_where_the_region_is_thickest() -> None:
    places = sampled("point", 300).coords[:, 0] // REDUCTION
    common = torch.unique(places, dim=0, return_counts=True)[1].max() / len(places)
    assert 0.3 < common < 0.5


def test_boxes_are_exact_or_jittered_within_bounds() -> None:
    prompts = sampled("box", 200)
    corners = prompts.coords[:, 3:5].flatten(1)
    off = (corners - BOX).abs()
    sides = torch.stack([BOX[2] - BOX[0], BOX[3] - BOX[1]]).repeat(2)
    limit = 20 * 256 / 1024
    assert (off <= torch.minimum(0.15 * sides, torch.tensor(limit)) + 1e-3).all()
    exact = (off == 0).all(dim=1).float().mean()
    assert 0.35 < exact < 0.65
    assert off.max() > 3


def test_a_box_of_a_region_is_exact_and_of_none_is_no_number_that_harms() -> None:
    boxes = boxes_around(torch.stack([COVER, torch.zeros_like(COVER)]))
    assert torch.equal(boxes[0], BOX.float())
    assert boxes.isfinite().all()


def test_a_region_that_fills_the_frame_has_no_background_point() -> None:
    mix = [float(name == "points") for name in KINDS]
    generator = generator_for(0, device=torch.device("cpu"))
    prompts = sample_prompts(torch.ones(40, 64, 64), generator, mix=mix)
    assert not (prompts.labels == Label.BACKGROUND).any()


def test_prompts_depend_on_the_generator_alone() -> None:
    first, again, other = (sampled("points", seed=seed).coords for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
