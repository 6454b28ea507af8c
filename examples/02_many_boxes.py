"""Fifty boxes on one photo: decoded in batches, and by fifty single calls.

python examples/02_many_boxes.py dist/nanosam-x86-fp32 photo.jpg
"""

from __future__ import annotations

import sys
import time

import numpy as np

from edgekit.runtime import Predictor, Prompt, load_photo


def boxes_on(height: int, width: int, count: int) -> list[list[float]]:
    """Boxes spread over the photo, the same in each run."""
    random = np.random.default_rng(0)
    corners = random.uniform(0, 0.7, (count, 2)) * (width, height)
    sizes = random.uniform(0.1, 0.3, (count, 2)) * (width, height)
    return [[*corner, *(corner + size)] for corner, size in zip(corners, sizes, strict=True)]


def main(bundle: str, photo: str) -> None:
    """Time both ways and print the largest difference between their logits."""
    predictor = Predictor(bundle)
    pixels = load_photo(photo)
    predictor.set_image(pixels)
    boxes = boxes_on(*pixels.shape[:2], 50)
    prompts = [Prompt.checked(box=box) for box in boxes]
    predictor.predict_many(prompts[:1])

    start = time.perf_counter()
    single = [predictor.predict(box=box).low_res_logits for box in boxes]
    one_by_one = time.perf_counter() - start
    start = time.perf_counter()
    many = [prediction.low_res_logits for prediction in predictor.predict_many(prompts)]
    batched = time.perf_counter() - start

    gap = max(float(np.abs(a - b).max()) for a, b in zip(single, many, strict=True))
    print(f"one by one {one_by_one:.2f} s, batched {batched:.2f} s: {batched / one_by_one:.2f}x")
    print(f"largest difference of a logit: {gap:.1e}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
