"""The same prompts in FP32, FP16 and INT8, side by side.

One row per photo, one column per bundle. The caption gives the mask's IoU with the first column's.
Give bundles of one model, the float one first.

    python examples/05_precisions_side_by_side.py sheet.jpg dist/nanosam-x86-fp32 \
        dist/nanosam-jetson-fp16 dist/nanosam-x86-int8
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from edgekit import catalog
from edgekit.records import BoolArray
from edgekit.runtime import Prediction, Predictor, Prompt, draw, load_photo
from edgekit.store import read_bundle

ROWS, TILE, CAPTION = 5, (400, 300), 22


def box_of_largest(photo: catalog.Photo, height: int, width: int) -> Prompt:
    """A box around the photo's largest instance."""
    largest = max(photo.instances, key=lambda instance: instance.area)
    return Prompt.checked(box=np.clip(largest.box, 0, [width, height, width, height]))


def iou(first: BoolArray, second: BoolArray) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 1.0


def tile(predictor: Predictor, photo: Path, prompt: Prompt) -> tuple[Image.Image, Prediction]:
    """The photo with the prompt and its mask."""
    predictor.set_image(photo)
    found = predictor.predict_many([prompt])[0]
    drawn = draw(load_photo(photo), [found], [prompt])
    return ImageOps.pad(drawn, TILE, color="white"), found


def main(out: str, *paths: str) -> None:
    """Draw the sheet and print the smallest IoU."""
    bundles = [read_bundle(Path(path)) for path in paths]
    predictors = [Predictor(bundle) for bundle in bundles]
    shown = [photo for photo in catalog.image_set().photos if photo.instances][:ROWS]
    width, height = TILE[0] * len(bundles), (TILE[1] + CAPTION) * len(shown)
    sheet, ious = Image.new("RGB", (width, height), "white"), []
    for row, photo in enumerate(shown):
        prompt = box_of_largest(photo, *load_photo(photo.path).shape[:2])
        tiles = [tile(predictor, photo.path, prompt) for predictor in predictors]
        for column, (picture, found) in enumerate(tiles):
            shared = iou(tiles[0][1].masks[0], found.masks[0])
            place = column * TILE[0], row * (TILE[1] + CAPTION)
            sheet.paste(picture, (place[0], place[1] + CAPTION))
            target = bundles[column].manifest.target
            caption = f"{target.name} ({target.precision}): IoU {shared:.3f} with the first"
            ImageDraw.Draw(sheet).text((place[0] + 6, place[1] + 5), caption, fill="black")
            ious.append(shared)
    sheet.save(out, quality=85)
    print(f"{len(shown)} photos, {len(bundles)} bundles on {out}; least IoU {min(ious):.3f}")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
