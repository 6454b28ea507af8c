"""What the device does around the graphs, on one core: `python tests/benchmarks/bench_runtime.py`.

Bars: a 1024-pixel photo prepared in < 20 ms, one mask upscaled to 1024 x 768 in
< 8 ms. With a bundle as argument: 50 boxes in chunks against 50 single calls, and peak memory.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported

import resource
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import Rgb
from edgekit.runtime import Predictor, Prompt
from edgekit.runtime.postprocess import masks_from_logits, upscale_logits
from edgekit.runtime.preprocess import encoder_input


def milliseconds(work: Callable[[], object], *, repeats: int = 20) -> float:
    """Median wall time of one call. The first, which warms up, hardly moves a median of many."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return median(times)


def noise(height: int, width: int) -> Rgb:
    """A photo of random pixels."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def print_around_the_graphs() -> None:
    """Preprocessing and postprocessing."""
    low_res = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    for height, width in ((480, 640), (768, 1024), (3000, 4000)):
        photo, size = noise(height, width), (height, width)
        prepared = milliseconds(lambda p=photo: encoder_input(p, SAM_CLIENT.preprocessing))
        mask = milliseconds(lambda s=size: masks_from_logits(low_res, s, SAM_CLIENT))
        logits = milliseconds(lambda s=size: upscale_logits(low_res, s, SAM_CLIENT))
        print(
            f"{width:5} x {height:<5} photo prepared {prepared:6.1f} ms   "
            f"mask upscaled {mask:6.2f} ms   (as logits {logits:6.2f} ms)"
        )


def print_fifty_boxes(bundle: str) -> None:
    """One photo, 50 boxes: in chunks against one by one; then the process's peak memory."""
    predictor = Predictor(bundle)
    predictor.set_image(noise(768, 1024))
    rng = np.random.default_rng(1)
    corners = rng.uniform((0, 0), (700, 500), (50, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(40, 260, (50, 2))], axis=1)
    prompts = [Prompt.checked(box=box) for box in boxes]
    # In turn, so that whatever else the machine does falls on both alike.
    pairs = [
        (
            milliseconds(lambda: list(predictor.predict_many(prompts)), repeats=1),
            milliseconds(lambda: [predictor.predict(box=b) for b in boxes], repeats=1),
        )
        for _ in range(4)
    ]
    many, single = (median(times) for times in zip(*pairs[1:], strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"50 boxes {many:7.0f} ms in chunks, {single:7.0f} ms singly: {many / single:.2f}x")
    print(f"peak memory {peak:.0f} MB")


if __name__ == "__main__":
    print_around_the_graphs()
    for path in sys.argv[1:]:
        print_fifty_boxes(path)
