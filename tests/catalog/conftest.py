"""A small COCO folder, to be damaged in one place per test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Coco = Callable[[Callable[[dict[str, Any]], None]], Path]

SQUARE = [2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0]


def annotation(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [2.0, 1.0, 4.0, 4.0],
        "area": 16.0,
        "iscrowd": 0,
        "segmentation": [SQUARE],
        **changes,
    }


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    """Write photos and JSON, changed by a function; gives the JSON's path."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (10, 8)).save(folder / "beside.png")
    Image.new("RGB", (10, 8)).save(folder / "images" / "inside.png")
    Image.new("RGB", (10, 8)).save(tmp_path / "outside.png")
    document: dict[str, Any] = {
        "info": {"description": "ignored"},
        "licenses": [{"id": 4, "name": "Attribution", "url": "http://by"}],
        "images": [
            {"id": 1, "file_name": "beside.png", "license": 4, "flickr_url": "http://flickr/1"},
            {"id": 2, "file_name": "inside.png", "width": 10, "height": 8},
        ],
        "annotations": [annotation()],
    }

    def write(change: Callable[[dict[str, Any]], None]) -> Path:
        change(document)
        (folder / "instances.json").write_text(json.dumps(document))
        return folder / "instances.json"

    return write
