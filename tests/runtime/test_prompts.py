"""Each invalid prompt has its own message; valid ones become the decoder's tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.records import ClientContract, Label
from edgekit.runtime.decoder_feeds import decoder_feeds, slots_of
from edgekit.runtime.prompts import Prompt, prompts_inside

SIZE = (428, 640)
INSIDE: dict[str, Any] = {"points": [[361, 262]], "labels": [1]}
NAN, INF = float("nan"), float("inf")
LOW_RES = np.zeros((256, 256), dtype=np.float32)


def assert_refused(message: str, **given: Any) -> None:
    with pytest.raises(BadInput, match=message):
        Prompt.checked(**given, photo_size=SIZE)


@pytest.mark.parametrize("point", [(-1, 5), (5, -0.5), (641, 5), (5, 429)])
def test_point_outside_the_photo(point: tuple[float, float]) -> None:
    assert_refused("point .* outside the photo", points=[(3, 3), point], labels=[1, 0])


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((-0.4, 20, 120, 428.7), [0, 20, 120, 428]),
        ((-30, -20, 700, 450), [0, 0, 640, 428]),
        ((1, 2, 640.5, 9), [1, 2, 640, 9]),
        ((1, -2, 9, 9), [1, 0, 9, 9]),
    ],
)
def test_a_box_that_reaches_out_of_the_photo_is_clipped(
    box: tuple[float, ...], clipped: list[float]
) -> None:
    prompt = Prompt.checked(box=box, photo_size=SIZE)
    assert prompt.box is not None
    assert prompt.box.tolist() == clipped


@pytest.mark.parametrize(
    "box", [(-9, 2, 0, 9), (1, 430, 9, 460), (400, 300, 1200, 900), (-9, 2, 9, 8)]
)
def test_a_box_with_its_middle_outside_the_photo(box: tuple[float, ...]) -> None:
    assert_refused("middle of the box .* outside the photo", box=box)


def test_the_prompt_outside_is_named_by_its_index() -> None:
    prompts = [Prompt.checked(box=[1, 1, 9, 9])] * 2 + [Prompt.checked(box=[900, 1, 950, 9])]
    with pytest.raises(BadInput, match=r"^Prompt 2: The middle of the box \(900, 1, 950, 9\)"):
        prompts_inside(prompts, SIZE)
    with pytest.raises(BadInput, match=r"^The middle"):
        prompts_inside(prompts[2:], SIZE)


def test_x_and_y_are_not_swapped() -> None:
    Prompt.checked(points=[[600, 400]], labels=[1], photo_size=SIZE)
    assert_refused("outside the photo", points=[[400, 600]], labels=[1])


def test_a_box_may_end_where_the_photo_ends() -> None:
    assert Prompt.checked(box=[0, 0, 640, 428], photo_size=SIZE).box is not None


@pytest.mark.parametrize("label", [2, -1, 0.5, 3, -2])
def test_label_out_of_range(label: float) -> None:
    assert_refused("no point label", points=[[1, 1], [2, 2]], labels=[1, label])


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_number_that_is_not_finite(bad: float) -> None:
    assert_refused("points must be finite", points=[[1, bad]], labels=[1])
    assert_refused("labels must be finite", points=[[1, 1]], labels=[bad])
    assert_refused("box must be finite", box=[1, 2, bad, 4])
    assert_refused("mask must be finite", **INSIDE, mask=np.full((256, 256), bad))


@pytest.mark.parametrize("box", [(9, 2, 9, 5), (9, 2, 8, 5), (1, 5, 9, 5), (1, 5, 9, 4)])
def test_box_without_area(box: tuple[float, ...]) -> None:
    assert_refused("has no area", box=box)


@pytest.mark.parametrize("labels", [None, [], [1], [1, 1, 1], 1, [[1, 1]]])
def test_lengths_differ(labels: Any) -> None:
    assert_refused("2 points and labels", points=[[1, 1], [2, 2]], labels=labels)


def test_labels_without_points() -> None:
    assert_refused("0 points and labels", labels=[1], box=[1, 2, 3, 4])


@pytest.mark.parametrize("given", [{}, {"points": [], "labels": []}, {"points": (), "labels": ()}])
def test_nothing_given(given: dict[str, Any]) -> None:
    assert_refused("prompt is empty", **given)


@pytest.mark.parametrize(
    "shape", [(256, 255), (), (0, 0), (2, 256, 256), (2, 1, 256, 256), (65536,)]
)
def test_mask_shape(shape: tuple[int, ...]) -> None:
    assert_refused("mask cannot have the shape", **INSIDE, mask=np.zeros(shape))


@pytest.mark.parametrize("points", [[1, 2], [[1, 2, 3]], [[[1, 2]]], 5])
def test_points_shape(points: Any) -> None:
    assert_refused("points cannot have the shape", points=points, labels=[1])


@pytest.mark.parametrize("box", [[1, 2, 3], [[1, 2], [3, 4]], [], [[[1, 2, 3, 4]]]])
def test_box_shape(box: Any) -> None:
    assert_refused("box cannot have the shape", box=box)


def test_several_boxes_are_told_the_call() -> None:
    assert_refused(r"2 boxes, and a prompt takes one.*\n.*\n.*predict_many", box=[[1, 2, 3, 4]] * 2)


@pytest.mark.parametrize(
    "given",
    [
        {"points": [[1, 2], [3]], "labels": [1, 1]},
        {"points": "here", "labels": [1]},
        {"points": [[1, 2]], "labels": ["foreground"]},
        {"box": {"x": 1}},
    ],
)
def test_values_that_are_not_numbers(given: dict[str, Any]) -> None:
    assert_refused("cannot be read as numbers", **given)


def test_bounds_can_be_checked_later() -> None:
    prompt = Prompt.checked(points=[[900, 1]], labels=[1])
    prompt.inside((10, 1000))
    with pytest.raises(BadInput, match="outside"):
        prompt.inside(SIZE)


@pytest.mark.parametrize("axes", [0, 1, 2])
@pytest.mark.parametrize("box", [[1, 2, 3, 4], [[1, 2, 3, 4]], np.array([1, 2, 3, 4])])
def test_sams_spellings_of_a_box_and_a_mask(box: Any, axes: int) -> None:
    prompt = Prompt.checked(box=box, mask=LOW_RES[(None,) * axes] + 1)
    assert prompt.box is not None
    assert prompt.box.tolist() == [1, 2, 3, 4]
    assert prompt.mask is not None
    assert (prompt.mask.shape, prompt.mask.dtype) == ((256, 256), np.float32)


def tokens(client: ClientContract, **given: Any) -> list[tuple[float, float, int]]:
    """(x, y, label) of one prompt on a photo of 640 x 428."""
    feeds = decoder_feeds([Prompt.checked(**given, photo_size=SIZE)], SIZE, client)
    rows = np.concatenate([feeds["point_coords"][0], feeds["point_labels"][0][:, None]], axis=1)
    return [(float(x), float(y), int(label)) for x, y, label in rows]


X, Y = 1024 / 640, 685 / 428  # SAM rounds 684.8 up, so that its two factors differ


def near(*expected: tuple[float, ...]) -> Any:
    return [pytest.approx(token, rel=1e-6) for token in expected]


def test_sam_pads_points(sam: ClientContract) -> None:
    assert tokens(sam, **INSIDE) == near((361 * X, 262 * Y, 1), (0, 0, Label.PADDING))


def test_sam_does_not_pad_a_box(sam: ClientContract) -> None:
    corners = (9 * X, 166 * Y, 2), (131 * X, 394 * Y, 3)
    box = [9, 166, 131, 394]
    assert tokens(sam, box=box) == near(*corners)
    assert tokens(sam, box=box, points=[[150, 120]], labels=[0]) == near(
        (150 * X, 120 * Y, 0), *corners
    )


def test_nanosam_never_pads_and_has_one_factor(nanosam: ClientContract) -> None:
    assert tokens(nanosam, **INSIDE) == near((361 * X, 262 * X, 1))
    assert tokens(nanosam, box=[9, 166, 131, 394]) == near(
        (9 * X, 166 * X, 2), (131 * X, 394 * X, 3)
    )


def test_nanosam_measures_the_longest_side(nanosam: ClientContract) -> None:
    feeds = decoder_feeds([Prompt.checked(**INSIDE)], (640, 428), nanosam)
    assert feeds["point_coords"][0].tolist() == near((361 * X, 262 * X))


def test_a_mask_alone_has_no_token(client: ClientContract) -> None:
    assert tokens(client, mask=LOW_RES) == near((0, 0, Label.EMPTY))


def with_rule(client: ClientContract, **changes: Any) -> ClientContract:
    return replace(client, prompts=replace(client.prompts, **changes))


def test_sam2_always_pads(sam: ClientContract) -> None:
    client = with_rule(sam, padding_point="always")
    corners = (9 * X, 166 * Y, 2), (131 * X, 394 * Y, 3)
    padding = (0, 0, Label.PADDING)
    assert tokens(client, **INSIDE) == near((361 * X, 262 * Y, 1), padding)
    assert tokens(client, box=[9, 166, 131, 394]) == near(*corners, padding)
    assert tokens(client, mask=LOW_RES) == near((0, 0, Label.EMPTY))


def test_efficientsam_fills_up_outside_the_frame(sam: ClientContract) -> None:
    client = with_rule(sam, padding_point="fill", max_points=4)
    padding = (-1, -1, Label.PADDING)
    assert tokens(client, **INSIDE) == near((361 * X, 262 * Y, 1), *[padding] * 3)
    points, labels = [[1, 1]] * 4, [1] * 4
    assert Label.PADDING not in [token[2] for token in tokens(client, points=points, labels=labels)]


def test_a_squashed_photo_has_a_factor_per_axis(sam: ClientContract) -> None:
    squash = replace(sam, preprocessing=replace(sam.preprocessing, fit="squash", frame=512))
    assert tokens(squash, **INSIDE)[0] == near((361 * 512 / 640, 262 * 512 / 428, 1))[0]


def test_prompts_may_have_another_frame_than_the_encoder(sam: ClientContract) -> None:
    small = replace(sam, preprocessing=replace(sam.preprocessing, frame=512))
    assert tokens(with_rule(small, frame=1024), **INSIDE) == tokens(sam, **INSIDE)


def test_a_decoder_without_masks_is_not_fed_any(sam: ClientContract) -> None:
    feeds = decoder_feeds([Prompt.checked(**INSIDE)], SIZE, with_rule(sam, refuses=("mask",)))
    assert sorted(feeds) == ["point_coords", "point_labels"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": [[1, 1]], "labels": [0]}, "does not take background points"),
        ({"points": [[1, 1]], "labels": [1], "mask": LOW_RES}, "does not take a mask"),
        ({"points": [[1, 1]] * 3, "labels": [1] * 3}, "has 3 points"),
        ({"points": [[1, 1]], "labels": [1], "box": [1, 1, 2, 2]}, "has 3 points"),
    ],
)
def test_prompts_that_the_family_does_not_support(
    given: dict[str, Any], message: str, sam: ClientContract
) -> None:
    strict = with_rule(sam, refuses=("background_point", "mask"), max_points=2)
    prompt = Prompt.checked(**given)
    prompt.check_supported(sam)
    with pytest.raises(BadInput, match=message):
        prompt.check_supported(strict)


BOXES: dict[str, Any] = {"coordinate_scale": "photo_sides", "point_margin": 3}


def test_the_frame_may_be_filled_by_the_photo(sam: ClientContract) -> None:
    corners = (9 * 1024 / 640, 166 * 1024 / 428, 2), (131 * 1024 / 640, 394 * 1024 / 428, 3)
    assert tokens(with_rule(sam, padding_point="never", **BOXES), box=[9, 166, 131, 394]) == near(
        *corners
    )


def test_a_point_may_become_the_box_around_its_pixel(sam: ClientContract) -> None:
    client = with_rule(sam, padding_point="never", **BOXES)
    # The photo is resized to 1024 x 685, and the pixel of (361, 262) there is (577, 419).
    corners = (574, 416 * 1024 / 685, 2), (580, 422 * 1024 / 685, 3)
    assert tokens(client, **INSIDE) == near(*corners)
    assert slots_of(Prompt.checked(**INSIDE), client) == 2
    assert slots_of(Prompt.checked(box=[9, 166, 131, 394]), client) == 2


def test_a_family_of_single_points_says_so(sam: ClientContract) -> None:
    strict = with_rule(sam, refuses=("background_point", "several_points"))
    Prompt.checked(**INSIDE).check_supported(strict)
    two = Prompt.checked(points=[[1, 1], [2, 2]], labels=[1, 1])
    with pytest.raises(BadInput, match="does not take several points in one prompt") as caught:
        two.check_supported(strict)
    assert caught.value.expected == "foreground point or a box"


def test_a_mask_of_another_familys_size(sam: ClientContract) -> None:
    prompt = Prompt.checked(mask=LOW_RES)
    with pytest.raises(BadInput, match=r"\[128, 128\]"):
        prompt.check_supported(replace(sam, masks=replace(sam.masks, side=128)))


def test_unlike_prompts_share_a_batch(sam: ClientContract) -> None:
    prompts = [
        Prompt.checked(points=[[1, 2], [3, 4], [5, 6]], labels=[1, 0, 1]),
        Prompt.checked(box=[10, 20, 30, 40]),
    ]
    feeds = decoder_feeds(prompts, SIZE, sam)
    assert {name: array.shape for name, array in feeds.items()} == {
        "point_coords": (2, 4, 2),
        "point_labels": (2, 4),
        "mask_input": (1, 1, 256, 256),
        "has_mask_input": (1,),
    }
    assert all(array.dtype == np.float32 for array in feeds.values())
    assert feeds["point_labels"].tolist() == [[1, 0, 1, -1], [2, 3, -2, -2]]
    assert feeds["has_mask_input"].tolist() == [0]
    assert not feeds["mask_input"].any()
    masked = decoder_feeds([Prompt.checked(mask=LOW_RES + 7)], SIZE, sam)
    assert masked["has_mask_input"].tolist() == [1]
    assert (masked["mask_input"] == 7).all()


def test_fixed_slots_are_filled_exactly(sam: ClientContract) -> None:
    feeds = decoder_feeds([Prompt.checked(**INSIDE)], SIZE, sam, slots=[5])
    assert feeds["point_labels"].tolist() == [[1, -1, -2, -2, -2]]
    assert feeds["point_coords"].shape == (1, 5, 2)


def test_more_tokens_than_slots(sam: ClientContract) -> None:
    full = Prompt.checked(points=[[1, 1]] * 2, labels=[1] * 2)
    assert decoder_feeds([full], SIZE, sam, slots=[2, 3, 9])["point_labels"].tolist() == [
        [1, 1, -1]
    ]
    with pytest.raises(BadInput, match="needs 3 slots"):
        decoder_feeds([full], SIZE, sam, slots=[1, 2])
