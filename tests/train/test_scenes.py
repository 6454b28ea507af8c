"""Canvases, views and pasted objects: masks stay aligned with the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgekit.train.data.annotations import AnnotatedPhoto, Region
from edgekit.train.data.canvases import MASK_SIDE, SIDE, Canvases, canvas_of, stacked
from edgekit.train.data.random_numbers import generator_for
from edgekit.train.data.scenes import REDUCTION, Scenes, SceneStyle, _drawn_masks, compose
from edgekit.train.data.views import (
    random_views,
    recoloured,
    resampled,
    shown,
    whole_view,
    whole_views,
)

CPU = torch.device("cpu")
_SHAPE = np.zeros((40, 60), np.uint8)
_SHAPE[:15] = 255
_SHAPE[:, :20] = 255
WHITE = Region(left=50, top=30, mask=_SHAPE, thing=True)
"""The Greek letter gamma: no flip or rotation maps it onto itself."""


def letter_photo(*regions: Region) -> AnnotatedPhoto:
    """A black photo with a white letter."""
    pixels = np.zeros((100, 160, 3), np.uint8)
    pixels[30:70, 50:110] = _SHAPE[..., None]
    return AnnotatedPhoto(name="letter", pixels=pixels, regions=regions)


@pytest.fixture
def letter() -> Canvases:
    return stacked([canvas_of(letter_photo(WHITE))])


def composed(photos: Canvases, style: SceneStyle, *, seed: int = 0, frames: int = 4) -> Scenes:
    generator = generator_for(seed, device=CPU)
    chosen = torch.arange(frames) % len(photos)
    return compose(photos, chosen, generator, side=128, masks=2, style=style)


def test_a_canvas_holds_photo_and_mask_in_its_top_left_corner(letter: Canvases) -> None:
    assert letter.rgb.shape == (1, SIDE, SIDE, 3)
    assert letter.masks.shape == (1, MASK_SIDE, MASK_SIDE)
    assert letter.extents.tolist() == [[1.0, 0.625]]
    assert not letter.rgb[0, SIDE * 100 // 160 :].any()
    white = letter.rgb[0, ::2, ::2, 0].float() / 255
    assert (white - letter.masks[0].float() / 255).abs().mean() < 0.02


def test_photos_without_a_region_that_is_large_enough_are_left_out() -> None:
    speck = replace(WHITE, mask=np.full((2, 2), 255, np.uint8))
    photos = [letter_photo(), letter_photo(speck), letter_photo(WHITE)]
    assert len(stacked([canvas_of(photo) for photo in photos])) == 1
    none = stacked([])
    assert (len(none), len(none.masks)) == (0, 0)


def test_masks_are_drawn_from_their_own_photo_things_more_often_than_stuff() -> None:
    sky = replace(WHITE, thing=False)
    canvases = stacked([canvas_of(letter_photo(WHITE)), canvas_of(letter_photo(WHITE, sky))])
    assert canvases.pasted.tolist() == [0, 1]
    drawn = _drawn_masks(canvases, torch.tensor([0, 1]), 2000, generator_for(0, device=CPU))
    assert (drawn[0] == 0).all()
    assert set(drawn[1].tolist()) == {1, 2}
    assert 0.05 < (drawn[1] == 2).float().mean() < 0.15


@pytest.mark.parametrize("seed", range(6))
def test_a_mask_moves_with_its_pixels(letter: Canvases, seed: int) -> None:
    scale = (0.7, 2.0)
    views = random_views(letter.extents, scale, generator_for(seed, device=CPU))
    pixels = resampled(letter.rgb.permute(0, 3, 1, 2).float() / 255, views, 128)[:, :1]
    covers = resampled(letter.masks[:, None].float() / 255, views, 32)
    assert (F.avg_pool2d(pixels, REDUCTION) - covers).abs().mean() < 0.02


def test_half_of_the_views_are_mirrored(letter: Canvases) -> None:
    extents = letter.extents.expand(400, -1)
    for views in (
        random_views(extents, (0.7, 1.9), generator_for(0, device=CPU)),
        whole_views(extents, generator_for(0, device=CPU)),
    ):
        assert 0.4 < (views[:, 0, 0] < 0).float().mean() < 0.6


def test_a_whole_photo_is_at_the_top_left_also_when_mirrored(letter: Canvases) -> None:
    narrow = torch.tensor([[0.5, 1.0]]).expand(20, -1)
    for extents in (letter.extents.expand(20, -1), narrow):
        valid = shown(extents, whole_views(extents, generator_for(1, device=CPU)), 64)
        assert torch.equal(valid, shown(extents, whole_view(20, CPU), 64))
        width, height = (extents[0] * 64).long().tolist()
        assert valid[:, :, :height, :width].all()
        assert valid.sum() == 20 * width * height


def test_a_pasted_object_hides_what_is_below_and_is_prompted(letter: Canvases) -> None:
    style = SceneStyle(whole=1.0, pasted=1.0, pasted_scale=(0.9, 1.0))
    below, above = composed(letter, replace(style, pasted=0.0)), composed(letter, style)
    plain, pasted = (scenes.covers.unflatten(0, (4, 2)) for scenes in (below, above))
    assert torch.equal(below.covers[0], below.covers[1])  # the photo has one mask only
    changed = (plain[:, 0] - pasted[:, 0]).abs().amax((1, 2)) > 0.5
    assert changed.any()
    overlap = torch.minimum(pasted[:, 0], pasted[:, 1])[changed]
    assert (overlap < 0.6).all()  # at the outline both cover a part of a pixel


def test_padding_is_black_and_never_part_of_a_mask(canvases: Canvases) -> None:
    scenes = composed(canvases, SceneStyle(whole=0.0, scale=(0.5, 0.8), pasted=1.0), frames=8)
    padding = scenes.valid == 0
    assert padding.any()
    assert not (scenes.rgb * padding).any()
    outside = F.avg_pool2d(scenes.valid, REDUCTION).repeat_interleave(2, dim=0)[:, 0] == 0
    assert not (scenes.covers * outside).any()


def test_a_scene_is_a_function_of_the_generator(canvases: Canvases) -> None:
    first, again, other = (composed(canvases, SceneStyle(), seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first.rgb, again.rgb)
    assert torch.equal(first.covers, again.covers)
    assert not torch.equal(first.rgb, other.rgb)


def test_masks_that_are_too_small_are_not_usable(canvases: Canvases) -> None:
    assert composed(canvases, SceneStyle(whole=1.0, pasted=0.0)).usable.all()
    far = composed(canvases, SceneStyle(whole=0.0, scale=(0.05, 0.06), pasted=0.0))
    assert not far.usable.any()


def test_nothing_is_pasted_where_there_are_no_things() -> None:
    sky = stacked([canvas_of(letter_photo(replace(WHITE, thing=False)))])
    assert composed(sky, SceneStyle(whole=1.0, pasted=1.0)).usable.all()


def test_recoloured_images_keep_their_range() -> None:
    noise = 255 * torch.rand(32, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    image = recoloured(noise, generator_for(0, device=CPU))
    assert image.min() >= 0
    assert image.max() <= 255
    assert 0 < (image == noise).all(dim=(1, 2, 3)).float().mean() < 0.3


def test_random_numbers_depend_on_all_that_they_are_for() -> None:
    def drawn(*numbers: int) -> float:
        return float(torch.rand(1, generator=generator_for(*numbers, device=CPU)))

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    assert len({drawn(1, 2, 3), drawn(1, 3, 2), drawn(1, 2, 4), drawn(2, 2, 3)}) == 4
