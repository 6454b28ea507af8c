"""Windows and pasted objects: masks stay aligned with the pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.train.data.annotations import AnnotatedPhoto, Region
from edgekit.train.data.scenes import (
    REDUCTION,
    SceneStyle,
    _anchor,
    _instance_piece,
    _paste,
    compose,
)
from edgekit.train.data.windows import (
    CELL,
    Window,
    random_window,
    region_in_window,
    resample,
    valid_area,
)

_SHAPE = np.zeros((40, 60), np.uint8)
_SHAPE[:15] = 255
_SHAPE[:, :20] = 255
WHITE = Region(left=50, top=30, mask=_SHAPE, thing=True)
"""The Greek letter gamma: no flip or rotation maps it onto itself."""


@pytest.fixture
def letter() -> AnnotatedPhoto:
    """A black photo with one annotated white letter."""
    pixels = np.zeros((100, 160, 3), np.uint8)
    pixels[30:70, 50:110] = _SHAPE[..., None]
    return AnnotatedPhoto(name="letter", pixels=pixels, regions=(WHITE,))


@pytest.mark.parametrize("seed", range(8))
def test_a_mask_moves_with_its_pixels(letter: AnnotatedPhoto, seed: int) -> None:
    rng = np.random.default_rng(seed)
    window = random_window((100, 160), rng, size=128, long_side=float(rng.uniform(100, 400)))
    shown = resample(letter.pixels, window, size=128)[..., 0] / 255
    cells = shown.reshape(32, REDUCTION, 32, REDUCTION).mean(axis=(1, 3))
    cover = region_in_window(WHITE, window, size=32)
    assert np.abs(cover - cells).mean() < 0.02
    assert np.abs(cover - cells).max() < 0.5  # resampling at the outline


def test_a_window_contains_its_target_and_starts_on_a_cell() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        window = random_window(
            (300, 400), rng, size=256, long_side=1024, around=(100, 200, 180, 260)
        )
        extent = window.size / window.scale
        assert window.photo_x <= 100
        assert window.photo_x + extent >= 180
        assert window.photo_y <= 200
        assert window.photo_y + extent >= 260
        assert window.left % CELL == window.top % CELL == 0
        assert max(window.left, window.top) + 256 <= 1024


def test_a_small_photo_is_padded_at_the_right_and_bottom() -> None:
    window = Window(left=0, top=0, size=64, photo_x=0, photo_y=0, scale=0.5)
    valid = valid_area((60, 100), window, size=64)
    assert valid[:30, :50].all()
    assert valid.sum() == 30 * 50


def test_background_regions_are_chosen_less_often_and_never_pasted(
    letter: AnnotatedPhoto,
) -> None:
    sky = replace(WHITE, thing=False)
    both = replace(letter, regions=(WHITE, sky))
    style = SceneStyle(stuff=0.15)
    anchors = [_anchor(both, np.random.default_rng(seed), style) for seed in range(400)]
    share = sum(anchor is sky for anchor in anchors) / len(anchors)
    assert 0.1 < share < 0.2
    assert _instance_piece(replace(letter, regions=(sky,)), np.random.default_rng(0)) is None


@pytest.mark.parametrize("shape", [False, True])
def test_a_pasted_object_occludes_the_scene(letter: AnnotatedPhoto, shape: bool) -> None:
    below = np.ones((32, 32), np.float32)
    grey = np.full((128, 128, 3), 128, np.uint8)
    for seed in range(6):
        pixels, covers = _paste(grey, [below], letter, np.random.default_rng(seed), shape=shape)
        hidden, pasted = covers
        np.testing.assert_allclose(hidden + pasted, 1, atol=1e-6)
        assert pasted.max() > 0.5
        untouched = np.kron(pasted, np.ones((REDUCTION, REDUCTION))) == 0
        assert (pixels[untouched] == 128).all()
        if not shape:  # the instance is white
            whole = np.kron(pasted, np.ones((REDUCTION, REDUCTION))) == 1
            assert (pixels[whole] > 250).all()


def test_a_scene_is_a_function_of_the_random_state(photos: tuple[AnnotatedPhoto, ...]) -> None:
    style = SceneStyle(pasted=1.0, shapes=1.0)
    first, again, other = (
        compose(photos, np.random.default_rng(seed), size=128, style=style) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.regions, again.regions)
    assert first.pixels.shape == other.pixels.shape == (128, 128, 3)
    assert (first.pixels != other.pixels).any()


def test_objects_in_the_padding_are_not_prompted(photos: tuple[AnnotatedPhoto, ...]) -> None:
    style = SceneStyle(scale=(100.0, 110.0), pasted=3.0)
    spilled = 0
    for seed in range(5):
        scene = compose(photos, np.random.default_rng(seed), size=128, style=style)
        padding = ~scene.valid[::REDUCTION, ::REDUCTION]
        assert padding.any()
        assert not (scene.regions * padding).any()
        spilled += int(scene.pixels[~scene.valid].any())
    assert spilled  # an object was pasted there


def test_photos_without_regions_are_refused(letter: AnnotatedPhoto) -> None:
    bare = AnnotatedPhoto(name="bare", pixels=letter.pixels, regions=())
    with pytest.raises(BadInput, match="no region that is large enough"):
        compose([bare], np.random.default_rng(0), size=64, style=SceneStyle())
