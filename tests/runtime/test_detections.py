"""A detector's objects: suppression, snapping to the border, masks, and prompts that select."""

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
    """The graph's outputs for (corners, score) pairs. Every object's mask fills its box."""
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


def objects_of(*candidates: tuple[tuple[float, float, float, float], float]) -> Detections:
    return find_objects(raw(*candidates), PLACE, RULE)


def test_weak_and_duplicate_candidates_are_dropped_best_first() -> None:
    double = (41.0, 40.0, 200.0, 200.0)
    objects = objects_of((BIG, 0.5), (double, 0.9), (SMALL, 0.7), (FAR, 0.4))
    assert np.array_equal(objects.boxes, np.array([double, SMALL], np.float32))
    assert objects.scores.tolist() == pytest.approx([0.9, 0.7])


def test_limit_on_objects() -> None:
    boxes = [((30.0 + 9 * i, 30, 36 + 9 * i, 60), 0.9 - 0.01 * i) for i in range(10)]
    few = find_objects(raw(*boxes), PLACE, replace(RULE, most=3))
    assert few.boxes[:, 0].tolist() == [30, 39, 48]


def test_edges_near_the_border_snap_to_it() -> None:
    objects = objects_of(((19, 21, 100, 237), 0.9))
    assert objects.boxes.tolist() == [[0, 21, 100, SIDE]]


def test_nearly_whole_boxes_become_whole() -> None:
    objects = objects_of(((19, 19, 250, 240), 0.9), ((0, 0, 235, 256), 0.8))
    assert objects.boxes.tolist() == [[0, 0, SIDE, SIDE], [0, 0, SIDE, SIDE]]


def test_mask_equals_the_whole_map_inside_the_box() -> None:
    """Only the part inside the box is computed."""
    outputs = raw((BIG, 0.9), ((0, 0, SIDE, SIDE), 0.8))
    outputs["prototypes"] = np.random.default_rng(3).standard_normal((1, 32, 64, 64), np.float32)
    outputs["coefficients"][..., 1] = outputs["coefficients"][..., 0]
    masks = Masks(find_objects(outputs, PLACE, RULE))
    inside = np.zeros((SIDE, SIDE), bool)
    inside[40:200, 40:200] = True
    assert 0.3 < masks[1].mean() < 0.7
    assert np.array_equal(masks[0], masks[1] & inside)


def test_no_objects() -> None:
    assert len(Masks(objects_of((BIG, 0.1)))) == 0


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
    """On a black photo of 1024 x 1024, where input and photo pixels coincide."""
    detector = Predictor.from_sessions(CLIENT, Network(raw(*candidates)))
    detector.set_image(np.zeros((1024, 1024, 3), np.uint8))
    return detector


def area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def test_point_selects_every_object_around_it() -> None:
    prediction = predictor((BIG, 0.9), (SMALL, 0.8), (FAR, 0.7)).predict([(80, 80)], [1])
    assert prediction.masks.shape == (1, 1024, 1024)
    assert prediction.masks.sum() == area(BIG)
    assert prediction.scores.tolist() == pytest.approx([0.9])
    assert prediction.low_res_logits.shape == (1, 0, 0)


def test_background_point_removes_the_smaller_object() -> None:
    prediction = predictor((BIG, 0.9), (SMALL, 0.8)).predict([(50, 50), (80, 80)], [1, 0])
    assert not prediction.masks.any()  # both points lie in BIG, and the last one is background
    prediction = predictor((BIG, 0.9), (FAR, 0.8)).predict([(50, 50), (130, 35)], [1, 0])
    assert prediction.masks.sum() == area(BIG) - 60 * 50  # without the overlap of FAR and BIG


def test_box_selects_the_best_fit() -> None:
    prediction = predictor((BIG, 0.9), (SMALL, 0.8)).predict(box=(58, 58, 101, 101))
    assert prediction.masks.sum() == area(SMALL)
    assert prediction.scores.tolist() == pytest.approx([0.8])


def test_box_selects_the_first_of_equal_fits() -> None:
    prediction = predictor((SMALL, 0.8), ((*SMALL[:3], 101.0), 0.9)).predict(
        box=(300, 300, 400, 400)
    )
    assert prediction.scores.tolist() == pytest.approx([0.9])


def test_box_smaller_than_a_pixel() -> None:
    assert predictor((BIG, 0.9)).predict(box=(60.1, 60.1, 60.2, 60.2)).masks.shape[0] == 1


def test_miss_gives_an_empty_mask() -> None:
    prediction = predictor((BIG, 0.9)).predict([(900, 900)], [1])
    assert (prediction.masks.any(), prediction.scores.tolist()) == (False, [0.0])
    assert not predictor((BIG, 0.1)).predict(box=(0, 0, 9, 9)).masks.any()


def test_everything_is_all_objects_best_first() -> None:
    objects = predictor((SMALL, 0.8), (BIG, 0.9), (FAR, 0.7)).everything()
    assert [each.area for each in objects] == [area(BIG), area(SMALL), area(FAR)]
    assert [int(each.mask.sum()) for each in objects] == [each.area for each in objects]
    assert [each.predicted_iou for each in objects] == pytest.approx([0.9, 0.8, 0.7])
    assert [each.prompt_box for each in objects] == [BIG, SMALL, FAR]
    x, y, width, height = objects[1].box
    assert (x, y, x + width + 1, y + height + 1) == SMALL
    assert (objects[0].stability, objects[0].point) == (None, None)


def test_many_prompts_at_once() -> None:
    detector = predictor((BIG, 0.9), (SMALL, 0.8))
    prompts = [Prompt.checked(box=box) for box in (SMALL, BIG)]
    many = detector.predict_many(prompts)
    assert [int(each.masks.sum()) for each in many] == [area(SMALL), area(BIG)]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"points": [(80, 80)], "labels": [1], "box": BIG}, "points and a box in one prompt"),
        ({"box": BIG, "multimask": True}, "multimask"),
        ({"box": BIG, "mask": np.zeros((256, 256))}, "a mask as a prompt"),
    ],
)
def test_unsupported_prompts_are_refused(prompt: dict, words: str) -> None:
    with pytest.raises(BadInput, match=f"(?s)does not take {words}.*Expected: points or a box"):
        predictor((BIG, 0.9)).predict(**prompt)


def test_non_finite_outputs_give_a_nan_score() -> None:
    outputs = raw((BIG, 0.9))
    outputs["prototypes"][0, 0, 0, 0] = np.nan
    detector = Predictor.from_sessions(CLIENT, Network(outputs))
    detector.set_image(np.zeros((1024, 1024, 3), np.uint8))
    assert np.isnan(detector.predict(box=BIG).scores).all()


def test_a_prompt_before_the_photo_is_refused() -> None:
    detector = Predictor.from_sessions(CLIENT, Network({}))
    for ask in (lambda: detector.predict([(1, 1)], [1]), detector.everything):
        with pytest.raises(BadInput, match="No photo is set"):
            ask()


def test_a_box_beyond_the_photo_is_no_prompt() -> None:
    """The frame is square: beside a narrow photo there is padding, where a detector may err."""
    beside, inside = (900.0, 400.0, 1000.0, 600.0), (450.0, 400.0, 550.0, 600.0)
    predictor = Predictor.from_sessions(CLIENT, Network(raw((beside, 0.9), (inside, 0.8))))
    predictor.set_image(np.zeros((1024, 256, 3), np.uint8))
    assert predictor.detected_boxes().tolist() == [[66.0, 400.0, 166.0, 600.0]]
