"""What BF16 does to the masks, part by part: the table that `precision/decide/bf16.py` tells.

    python tests/benchmarks/bench_bf16.py [MODEL] [--weights bundled]

Each line is a plan, rounded in PyTorch after each node: mean, 5th percentile and minimum of the
mask IoU with the float model, on the calibration photos that an export judges a BF16 plan on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

from edgekit import catalog
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.precision.decide.bf16 import part_in_bf16
from edgekit.program.programs import Programs
from edgekit.records import PartPlan, Precision
from edgekit.stages.judging import make_judge

TARGET = "x86-bf16"
BF16, FP32 = Precision.BF16, Precision.FP32


def main() -> None:
    """Print a line per plan."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?", default="nanosam")
    parser.add_argument("--weights", default="bundled")
    options = parser.parse_args()
    row, target = registry.model(options.model), catalog.target(TARGET)
    programs = Programs(row, locate(row, (options.weights,)), target.prompt_shapes)
    judge = make_judge(programs, target, catalog.calibration_set())
    for name, parts in plans(programs):
        told = judge(parts).overall
        assert told is not None
        print(
            f"{name:40} mean {told.mean_iou:.4f}  p5 {told.p5_iou:.3f}  min {told.min_iou:.3f}"
            f"  ({told.prompts} prompts)",
            flush=True,
        )


def plans(programs: Programs) -> Iterator[tuple[str, tuple[PartPlan, ...]]]:
    """The plan of x86-bf16, and others beside it."""
    encoder, decoder = map(part_in_bf16, programs.planned)
    yield "the encoder in BF16", (encoder, changed(decoder, {BF16: FP32, FP32: FP32}))
    yield "both", (encoder, changed(decoder, {BF16: BF16, FP32: BF16}))
    yield "both, coordinates and phases in FP32", (encoder, decoder)
    yield (
        "only coordinates and phases in BF16",
        (
            changed(encoder, {BF16: FP32, FP32: FP32}),
            changed(decoder, {BF16: FP32, FP32: BF16}),
        ),
    )


def changed(part: PartPlan, to: dict[Precision, Precision]) -> PartPlan:
    """The part with other precisions."""
    lines = (replace(line, precision=to[line.precision]) for line in part.nodes)
    return replace(part, nodes=tuple(lines))


if __name__ == "__main__":
    main()
