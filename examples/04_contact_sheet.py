"""Twelve photos with prompts and masks on one sheet.

On each photo, a box asks for the largest instance and a point for the next one.

    python examples/04_contact_sheet.py dist/nanosam-x86-fp32 sheet.jpg [instances.json]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from edgekit import catalog
from edgekit.runtime import Prediction, Predictor, Prompt, draw, load_photo

COLUMNS, ROWS, TILE = 4, 3, (320, 240)


def prompts_for(photo: catalog.Photo, height: int, width: int) -> list[Prompt]:
    """A box for the largest instance and a point for the next one."""
    largest = sorted(photo.instances, key=lambda instance: -instance.area)[:2]
    prompts = [Prompt.checked(box=np.clip(largest[0].box, 0, [width, height, width, height]))]
    for instance in largest[1:]:
        rows, columns = np.nonzero(catalog.instance_mask(instance, height, width))
        middle = len(rows) // 2  # some pixel of the mask, in reading order
        prompts.append(Prompt.checked(points=[[columns[middle], rows[middle]]], labels=[1]))
    return prompts


def best(prediction: Prediction) -> Prediction:
    """Only the candidate with the best score."""
    index = [int(prediction.scores.argmax())]
    return Prediction(*(part[index] for part in prediction))


def main(bundle: str, out: str, annotations: str | None = None) -> None:
    """Draw the sheet."""
    photos = catalog.photos_from(Path(annotations)) if annotations else catalog.image_set()
    shown = [photo for photo in photos.photos if photo.instances][: COLUMNS * ROWS]
    predictor = Predictor(bundle)
    sheet = Image.new("RGB", (COLUMNS * TILE[0], ROWS * TILE[1]), "white")
    for index, photo in enumerate(shown):
        pixels = load_photo(photo.path)
        predictor.set_image(pixels)
        prompts = prompts_for(photo, *pixels.shape[:2])
        boxes = list(predictor.predict_many(prompts[:1]))
        points = [best(p) for p in predictor.predict_many(prompts[1:], multimask=True)]
        tile = ImageOps.pad(draw(pixels, boxes + points, prompts), TILE, color="white")
        sheet.paste(tile, (index % COLUMNS * TILE[0], index // COLUMNS * TILE[1]))
    sheet.save(out, quality=85)
    print(f"{len(shown)} photos on {out}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
