"""The ranges of the tensors of a small program, for tests of plans: the extremes of one run."""

from __future__ import annotations

import torch
from torch import Tensor

from edgekit.precision.measure.ranges import Range, Ranges
from edgekit.program.capture import Program
from edgekit.program.walk import Walk
from edgekit.records import Feeds, Role


def observed_ranges(program: Program, feeds: Feeds) -> Ranges:
    """The ranges of all tensors of an encoder while it runs once on `feeds`."""
    found: dict[str, Range] = {}

    def note(node, result: Tensor) -> Tensor:
        found[node.name] = range_of(result)
        return result

    Walk(program, note).run(feeds)
    return Ranges(role=Role.ENCODER, by_name=found)


def range_of(values: Tensor) -> Range:
    """The range of a tensor that was seen once."""
    low, high = (float(edge) for edge in torch.aminmax(values))
    mean, std = float(values.mean()), float(values.std())
    return Range(low=low, high=high, usual_low=low, usual_high=high, mean=mean, std=std)
