"""A COCO file of small photos with shapes whose masks are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

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
