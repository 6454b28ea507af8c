"""Stand-in sessions that segment discs, and photos to segment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.catalog import Instance, Photo, PhotoSet, RunLengths
from edgekit.records import ClientContract, Label, MaskChoice, MaskRule, Preprocessing, PromptRule
from edgekit.runtime import Predictor
from tests.coco_shapes import write_coco

WIDTH, HEIGHT = 160, 120
FRAME = 1024

CLIENT = ClientContract(
    preprocessing=Preprocessing(
        frame=FRAME, resample="bilinear", rounding="half_up", mean=(0, 0, 0), std=(1, 1, 1)
    ),
    prompts=PromptRule(coordinate_scale="per_axis", padding_point="without_box"),
    masks=MaskRule(
        single=MaskChoice(masks=(0,)),
        multimask=MaskChoice(masks=(1, 2, 3)),
        upscale="frame_then_photo",
    ),
)

Change = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


class FakeEncoder:
    def run(self, feeds):
        return {"image_embeddings": feeds["image"].mean(axis=(2, 3), keepdims=True)}


class DiscDecoder:
    """Mask m of a prompt is a disc around its first foreground point (or its box's middle).

    Logits fall linearly with distance; a tenth of the mask input is added. `change` modifies the
    result of every call.
    """

    radii = np.array([40.0, 20.0, 30.0, 50.0])

    def __init__(self, change: Change | None = None) -> None:
        self.change = change
        self.calls: list[dict[str, np.ndarray]] = []

    def run(self, feeds):
        self.calls.append(dict(feeds))
        out = {
            "low_res_masks": np.stack(
                [self._logits(feeds, row) for row in range(self._batch(feeds))]
            ),
            "iou_predictions": np.tile(np.float32([0.5, 0.9, 0.8, 0.7]), (self._batch(feeds), 1)),
        }
        return self.change(out) if self.change else out

    @staticmethod
    def _batch(feeds) -> int:
        return len(feeds["point_coords"])

    def _logits(self, feeds, row):
        labels, coords = feeds["point_labels"][row], feeds["point_coords"][row] / 4
        wanted = (labels == Label.FOREGROUND) | (labels >= Label.BOX_TOP_LEFT)
        x, y = coords[wanted].mean(axis=0)
        grid_y, grid_x = np.mgrid[:256, :256]
        distance = np.hypot(grid_x + 0.5 - x, grid_y + 0.5 - y)
        logits = (self.radii[:, None, None] - distance).astype(np.float32)
        return logits + 0.1 * feeds["mask_input"][0]


@pytest.fixture(scope="session")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO file of four photos of 120 x 90 pixels. Do not modify it."""
    return write_coco(tmp_path_factory.mktemp("coco"))


@pytest.fixture
def client() -> ClientContract:
    return CLIENT


@pytest.fixture
def predictor() -> Callable[..., Predictor]:
    """`predictor(change)`: the fake model, its decoder's output changed by `change`.

    With `batches`, its decoder takes one prompt of 8 points, or these (prompts, points).
    """

    def make(change: Change | None = None, batches: tuple[tuple[int, int], ...] = ()) -> Predictor:
        return Predictor.from_sessions(
            CLIENT,
            FakeEncoder(),
            DiscDecoder(change),
            prompt_slots=(8,) if batches else (),
            prompt_batches=batches,
        )

    return make


@pytest.fixture
def rectangle() -> Callable[..., Instance]:
    """`rectangle(left, top, right, bottom)`: an annotated rectangle."""

    def make(left: int, top: int, right: int, bottom: int) -> Instance:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        # COCO run lengths go down the columns and start with zeros.
        edges = np.flatnonzero(np.diff(mask.T.reshape(-1), prepend=False, append=False))
        counts = np.diff(edges, prepend=0, append=HEIGHT * WIDTH)
        if mask.T.reshape(-1)[-1]:
            counts = counts[:-1]
        return Instance(
            box=(left, top, right, bottom),
            segmentation=RunLengths(size=(HEIGHT, WIDTH), counts=tuple(counts.tolist())),
            area=(right - left) * (bottom - top),
        )

    return make


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Photo]:
    """`photo(name, instances)`: a noise photo of 160 x 120 pixels on disk."""

    def make(name: str = "desk", instances: tuple[Instance, ...] = ()) -> Photo:
        path = tmp_path / f"{name}.png"
        pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return Photo(path=path, id=name, licence=None, attribution=None, instances=instances)

    return make


@pytest.fixture
def photos(photo: Callable[..., Photo], rectangle: Callable[..., Instance]) -> PhotoSet:
    """One annotated photo and one without annotations."""
    things = (rectangle(20, 20, 100, 80), rectangle(100, 60, 150, 110))
    return PhotoSet(name="desk", photos=(photo("annotated", things), photo("plain")))
