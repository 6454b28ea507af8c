"""Small photos of shapes with known masks, and students small enough to train in a test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from edgekit.catalog import photos_from_coco
from edgekit.models.sam import SamDecoder
from edgekit.train.data.annotations import AnnotatedPhoto, load_annotated
from edgekit.train.stages.student import Student

SIZE = (90, 120)  # height, width
DISC, BAR = (30, 40, 20), (70, 10, 110, 80)  # centre x, y, radius; x0, y0, x1, y1


def disc_mask() -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    x, y, radius = DISC
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def bar_mask() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    x0, y0, x1, y1 = BAR
    mask[y0:y1, x0:x1] = True
    return mask


def plain_rle(mask: np.ndarray) -> dict:
    """COCO's uncompressed RLE, implemented independently of the reader."""
    counts, value, run = [], False, 0
    for pixel in mask.T.ravel():
        if pixel == value:
            run += 1
        else:
            counts.append(run)
            value, run = pixel, 1
    return {"size": list(mask.shape), "counts": [*counts, run]}


def annotation(image: int, segmentation: object, mask: np.ndarray, **more: object) -> dict:
    rows, columns = np.nonzero(mask)
    box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    return {
        "image_id": image,
        "segmentation": segmentation,
        "bbox": [float(edge) for edge in box],
        "area": float(mask.sum()),
        "iscrowd": 0,
        **more,
    }


def write_coco(folder: Path, *, photos: int = 4) -> Path:
    """Write a COCO file and its photos, in images/: each has a red disc (RLE) and a blue bar
    (polygon)."""
    (folder / "images").mkdir(parents=True)
    x0, y0, x1, y1 = BAR
    images, annotations = [], []
    for index in range(photos):
        pixels = np.full((*SIZE, 3), 60 + 40 * index, np.uint8)
        pixels[disc_mask()] = (220, 30, 30)
        pixels[bar_mask()] = (20, 60, 200)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "license": 4})
        annotations.append(annotation(index, plain_rle(disc_mask()), disc_mask()))
        corners = [float(c) for c in (x0, y0, x1, y0, x1, y1, x0, y1)]
        annotations.append(annotation(index, [corners], bar_mask()))
    document = {
        "images": images,
        "annotations": annotations,
        "licenses": [{"id": 4, "name": "Attribution License", "url": "http://example.org"}],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(document))
    return path


class TinyEncoder(nn.Module):
    """An encoder of one convolution with stride 16: every token sees its own 16 x 16 pixels."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 256, 16, stride=16)
        self.pos_embedding = nn.Parameter(torch.randn(1, 256, grid, grid))

    def features(self, image: torch.Tensor) -> torch.Tensor:
        return self.patch(image)

    def positions(self) -> torch.Tensor:
        return self.pos_embedding

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.features(image) + self.pos_embedding


@pytest.fixture
def student() -> Student:
    """A seeded student with SAM's decoder and a tiny encoder, for the 1024 frame."""
    return _student(grid=64)


@pytest.fixture
def small_student() -> Student:
    """As `student`, for a frame of 256 pixels."""
    return _student(grid=16)


def _student(grid: int) -> Student:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Student(TinyEncoder(grid), SamDecoder(frame=16 * grid, grid=grid))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: with tensors this small, threads cost more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(coco: Path) -> tuple[AnnotatedPhoto, ...]:
    """The four photos of `coco`, loaded."""
    return load_photos(coco)


def load_photos(coco: Path) -> tuple[AnnotatedPhoto, ...]:
    return load_annotated(photos_from_coco(coco).photos)


@pytest.fixture(scope="session")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO file of four photos of 120 x 90 pixels. Do not modify it."""
    return write_coco(tmp_path_factory.mktemp("coco"))
