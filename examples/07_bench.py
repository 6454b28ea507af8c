"""Time bundles beside each other: the encoder, the decoder, and from photo to mask.

python examples/07_bench.py dist/nanosam-x86-fp32 dist/nanosam-x86-ort-fp32
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgekit import BenchRequest, bench


def main(*bundles: str) -> None:
    """Print the median of each task, in milliseconds."""
    result = bench(BenchRequest(bundles=tuple(map(Path, bundles)), rounds=3))
    print(f"{result.cpu}, {result.threads} threads")
    for figures in result.figures:
        if figures.missing:
            print(f"{figures.name}: could not be timed: {figures.missing}")
        for timing in figures.timings:
            print(f"{figures.name}: {timing.task}: {timing.p50 * 1e3:.1f} ms")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
