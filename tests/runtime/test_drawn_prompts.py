"""Prompts drawn into the image of a model of one graph: pixels, batches and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.models.families.squeezesam import CLIENT
from edgekit.records import FloatArray
from edgekit.runtime import Predictor, Prompt
from edgekit.runtime.drawn_prompts import drawn_image, encoder_image

FRAME = 16
RULE = replace(CLIENT.drawing, radius=2)
SMALL = replace(CLIENT, preprocessing=replace(CLIENT.preprocessing, frame=FRAME), drawing=RULE)


def draw(*tokens: tuple[float, float, int]) -> tuple[FloatArray, FloatArray]:
    """The channels [16, 16] of box and points for (x, y, label) tokens."""
    coords = np.array([token[:2] for token in tokens], np.float32).reshape(-1, 2)
    labels = np.array([token[2] for token in tokens], np.float32)
    photo = np.full((1, 3, FRAME, FRAME), 7, np.float32)
    image = drawn_image(photo, coords, labels, rule=RULE)
    assert image.shape == (1, 5, FRAME, FRAME)
    assert (image[:, :3] == 7).all()
    return image[0, 3], image[0, 4]


def test_a_box_is_filled_edges_included() -> None:
    box, points = draw((3, 4, 2), (6.5, 9, 3))
    rows, columns = np.nonzero(box)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (3, 6, 4, 9)
    assert box.sum() == 4 * 6
    assert not points.any()


def test_without_a_box_its_channel_is_full() -> None:
    box, points = draw((5, 5, 1), (0, 0, -2))
    assert box.all()
    assert points.sum() == 13  # the whole coordinates within 2 of a whole coordinate
    assert points[5, 3:8].all()
    assert points[3:8, 5].all()


def test_points_and_a_box_have_a_channel_each() -> None:
    box, points = draw((5, 5, 1), (12, 12, 1), (2, 2, 2), (14, 14, 3))
    assert box.sum() == 13 * 13
    assert points.sum() == 2 * 13


@pytest.mark.parametrize("corners", [((3.2, 4, 2), (3.8, 9, 3)), ((3, 4.2, 2), (6, 4.8, 3))])
def test_a_box_between_two_pixels_is_refused(corners: tuple) -> None:
    with pytest.raises(BadInput, match="covers no pixel of the 16 x 16 image"):
        draw(*corners)


def test_an_image_without_a_prompt_has_a_box_around_the_photo() -> None:
    photo = np.zeros((30, 40, 3), np.uint8)
    image = encoder_image(photo, SMALL)
    assert image.shape == (1, 5, FRAME, FRAME)
    assert image[0, 3].all()
    assert not image[0, 4].any()


class Graph:
    """Mask 2 is the drawn box; the scores prefer it. It counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, feeds: dict[str, FloatArray]) -> dict[str, FloatArray]:
        self.runs += 1
        image = feeds["image"]
        assert image.shape == (1, 5, FRAME, FRAME)
        masks = 8 * image[:, [4, 4, 3]] - np.float32(4)
        return {"low_res_masks": masks, "iou_predictions": np.array([[0, 0.1, 0.9]], np.float32)}


@pytest.fixture
def setup() -> tuple[Predictor, Graph]:
    client = replace(SMALL, masks=replace(SMALL.masks, side=FRAME))
    graph = Graph()
    # A target's fixed slots are a decoder's: this graph takes any number of points.
    predictor = Predictor.from_sessions(client, graph, prompt_slots=(1,))
    predictor.set_image(np.zeros((32, 64, 3), np.uint8))
    return predictor, graph


def test_the_graph_runs_once_per_prompt(setup: tuple[Predictor, Graph]) -> None:
    predictor, graph = setup
    prompts = [
        Prompt.checked(box=(0, 0, 31, 31)),
        Prompt.checked(points=[(8, 8), (40, 20)], labels=[1, 1]),
    ]
    left, whole = predictor.predict_many(prompts)
    assert graph.runs == 2
    assert left.masks.shape == (1, 32, 64)
    assert left.masks[0, :, :28].all()
    assert not left.masks[0, :, 36:].any()
    assert whole.masks.all()  # without a box, its channel is full
    assert predictor.predict(box=(0, 0, 31, 31), multimask=True).masks.shape == (3, 32, 64)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"points": [(1, 1)], "labels": [0]}, "does not take background points"),
        ({"mask": np.zeros((FRAME, FRAME))}, "does not take a mask as a prompt"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    setup: tuple[Predictor, Graph], prompt: dict, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        setup[0].predict(**prompt)


def test_everything_is_found_with_drawn_points(setup: tuple[Predictor, Graph]) -> None:
    predictor, graph = setup
    (whole,) = predictor.everything(grid=2)
    assert graph.runs == 4
    assert whole.mask.all()


def test_it_detects_no_boxes(setup: tuple[Predictor, Graph]) -> None:
    with pytest.raises(BadInput, match="answers prompts, and detects no boxes"):
        setup[0].detected_boxes()
