"""Candidates to objects: what is suppressed, what snaps to the border, what masks look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.models.families.fastsam import CLIENT
from edgekit.runtime import Predictor, Prompt
from edgekit.runtime.detections import Detections, Masks, find_objects
from edgekit.runtime.preprocess import Placement

SIDE = 256
PLACE = Placement(photo=(SIDE, SIDE), resized=(SIDE, SIDE), corner=(0, 0), canvas=(SIDE, SIDE))
RULE = CLIENT.objects


def raw(*candidates: tuple[tuple[float, float, float, float], float]) -> dict[str, np.ndarray]:
    """Outputs for (corners, score); every object's mask fills its box."""
    count = len(candidates)
    corners = np.array([corner for corner, _ in candidates], np.float32).reshape(-1, 4)
    centre, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    coefficients = np.zeros((1, 32, count), np.float32)
    coefficients[:, 0] = 1
    return {
        "boxes": np.concatenate([centre, size], axis=1).T[None],
        "scores": np.array([[[score for _, score in candidates]]], np.float32),
        "coefficients": coefficients,
        "prototypes": np.ones((1, 32, SIDE // 4, SIDE // 4), np.float32),
    }


BIG, SMALL, FAR = (40.0, 40.0, 200.0, 200.0), (60.0, 60.0, 100.0, 100.0), (120.0, 30.0, 180.0, 90.0)


def found(*candidates: tuple[tuple[float, float, float, float], float]) -> Detections:
    return find_objects(raw(*candidates), PLACE, RULE)


def test_weak_candidates_and_doubles_go_the_best_comes_first() -> None:
    double = (41.0, 40.0, 200.0, 200.0)
    objects = found((BIG, 0.5), (double, 0.9), (SMALL, 0.7), (FAR, 0.4))
    assert np.array_equal(objects.boxes, np.array([double, SMALL], np.float32))
    assert objects.scores.tolist() == pytest.approx([0.9, 0.7])


def test_at_most_so_many() -> None:
    boxes = [((30.0 + 9 * i, 30, 36 + 9 * i, 60), 0.9 - 0.01 * i) for i in range(10)]
    few = find_objects(raw(*boxes), PLACE, replace(RULE, most=3))
    assert few.boxes[:, 0].tolist() == [30, 39, 48]


def test_edges_near_the_border_lie_on_it() -> None:
    objects = found(((19, 21, 100, 237), 0.9))
    assert objects.boxes.tolist() == [[0, 21, 100, SIDE]]


def test_nearly_everything_is_everything() -> None:
    objects = found(((19, 19, 250, 240), 0.9), ((0, 0, 235, 256), 0.8))
    assert objects.boxes.tolist() == [[0, 0, SIDE, SIDE], [0, 0, SIDE, SIDE]]


def test_a_mask_in_its_box_is_that_part_of_the_whole_one() -> None:
    """Only what lies in the box is computed."""
    outputs = raw((BIG, 0.9), ((0, 0, SIDE, SIDE), 0.8))
    outputs["prototypes"] = np.random.default_rng(3).standard_normal((1, 32, 64, 64), np.float32)
    outputs["coefficients"][..., 1] = outputs["coefficients"][..., 0]
    masks = Masks(find_objects(outputs, PLACE, RULE))
    inside = np.zeros((SIDE, SIDE), bool)
    inside[40:200, 40:200] = True
    assert 0.3 < masks[1].mean() < 0.7
    assert np.array_equal(masks[0], masks[1] & inside)


def test_nothing_found() -> None:
    assert len(Masks(found((BIG, 0.1)))) == 0


def test_boxes_are_mapped_back_to_the_photo() -> None:
    place = Placement(photo=(50, 100), resized=(128, 256), corner=(64, 0), canvas=(256, 256))
    objects = find_objects(raw(((51.0, 89.4, 102.2, 140.6), 0.9)), place, RULE)
    assert np.allclose(objects.boxes, [[20, 10, 40, 30]], atol=0.1)
    mask = Masks(objects)[0]
    assert mask.shape == (50, 100)
    assert mask[10:30, 20:40].all()
    assert mask.sum() == 400


class Network:
    def __init__(self, answer: dict[str, np.ndarray]) -> None:
        self.answer = answer

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert feeds["image"].shape == (1, 3, 1024, 1024)
        return self.answer


def predictor(*candidates: tuple[tuple[float, float, float, float], float]) -> Predictor:
    """On a black photo of 1024 x 1024, so that input and photo pixels are the same."""
    made = Predictor.from_sessions(CLIENT, Network(raw(*candidates)))
    made.set_image(np.zeros((1024, 1024, 3), np.uint8))
    return made


def area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def test_a_point_means_every_object_around_it() -> None:
    chosen = predictor((BIG, 0.9), (SMALL, 0.8), (FAR, 0.7)).predict([(80, 80)], [1])
    assert chosen.masks.shape == (1, 1024, 1024)
    assert chosen.masks.sum() == area(BIG)
    assert chosen.scores.tolist() == pytest.approx([0.9])
    assert chosen.low_res_logits.shape == (1, 0, 0)


def test_a_background_point_takes_the_smaller_object_away() -> None:
    chosen = predictor((BIG, 0.9), (SMALL, 0.8)).predict([(50, 50), (80, 80)], [1, 0])
    assert not chosen.masks.any()  # both lie in the big one, whose last point is background
    chosen = predictor((BIG, 0.9), (FAR, 0.8)).predict([(50, 50), (130, 35)], [1, 0])
    assert chosen.masks.sum() == area(BIG) - 60 * 50  # what FAR and BIG share is gone


def test_a_box_means_the_object_that_fits_best() -> None:
    chosen = predictor((BIG, 0.9), (SMALL, 0.8)).predict(box=(58, 58, 101, 101))
    assert chosen.masks.sum() == area(SMALL)
    assert chosen.scores.tolist() == pytest.approx([0.8])


def test_of_boxes_that_fit_equally_well_the_first_is_meant() -> None:
    chosen = predictor((SMALL, 0.8), ((*SMALL[:3], 101.0), 0.9)).predict(box=(300, 300, 400, 400))
    assert chosen.scores.tolist() == pytest.approx([0.9])


def test_a_box_of_less_than_a_pixel_is_answered() -> None:
    assert predictor((BIG, 0.9)).predict(box=(60.1, 60.1, 60.2, 60.2)).masks.shape[0] == 1


def test_a_miss_is_an_empty_mask() -> None:
    chosen = predictor((BIG, 0.9)).predict([(900, 900)], [1])
    assert (chosen.masks.any(), chosen.scores.tolist()) == (False, [0.0])
    assert not predictor((BIG, 0.1)).predict(box=(0, 0, 9, 9)).masks.any()


def test_everything_is_made_one_mask_at_a_time() -> None:
    found = predictor((BIG, 0.9), (SMALL, 0.8), (FAR, 0.7)).everything()
    assert [int(each.masks.sum()) for each in found[:2]] == [area(BIG), area(SMALL)]
    assert [float(each.scores[0]) for each in found] == pytest.approx([0.9, 0.8, 0.7])
    assert found[-1].masks.sum() == area(FAR)
    with pytest.raises(IndexError):
        found[3]


def test_many_prompts_at_once() -> None:
    seen = predictor((BIG, 0.9), (SMALL, 0.8))
    prompts = [Prompt.checked(box=box) for box in (SMALL, BIG)]
    many = seen.predict_many(prompts)
    assert [int(each.masks.sum()) for each in many] == [area(SMALL), area(BIG)]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"points": [(80, 80)], "labels": [1], "box": BIG}, "points and a box in one prompt"),
        ({"box": BIG, "multimask": True}, "multimask"),
        ({"box": BIG, "mask": np.zeros((256, 256))}, "a mask as a prompt"),
    ],
)
def test_what_a_detector_does_not_take(prompt: dict, words: str) -> None:
    with pytest.raises(BadInput, match=f"(?s)does not take {words}.*Expected: points or a box"):
        predictor((BIG, 0.9)).predict(**prompt)


def test_numbers_that_are_not_finite_show_in_the_score() -> None:
    outputs = raw((BIG, 0.9))
    outputs["prototypes"][0, 0, 0, 0] = np.nan
    seen = Predictor.from_sessions(CLIENT, Network(outputs))
    seen.set_image(np.zeros((1024, 1024, 3), np.uint8))
    assert np.isnan(seen.predict(box=BIG).scores).all()


def test_a_prompt_before_the_photo_is_refused() -> None:
    blind = Predictor.from_sessions(CLIENT, Network({}))
    for ask in (lambda: blind.predict([(1, 1)], [1]), blind.everything):
        with pytest.raises(BadInput, match="No photo is set"):
            ask()
