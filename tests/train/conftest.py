"""Students small enough to train in a test, and photos to train them on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.catalog import photos_from_coco
from edgekit.models.sam import SamDecoder
from edgekit.train.data.annotations import AnnotatedPhoto, annotated_photo
from edgekit.train.data.canvases import Canvases, canvas_of, stacked
from edgekit.train.stages.student import Student
from tests.coco_shapes import write_coco


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
    photos = sorted(photos_from_coco(coco).photos, key=lambda photo: photo.id)
    return tuple(map(annotated_photo, photos))


@pytest.fixture(scope="session")
def canvases(photos: tuple[AnnotatedPhoto, ...]) -> Canvases:
    """The four photos on their canvases. Do not modify them."""
    return stacked([canvas_of(photo) for photo in photos])


@pytest.fixture(scope="session")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO file of four photos of 120 x 90 pixels. Do not modify it."""
    return write_coco(tmp_path_factory.mktemp("coco"))
