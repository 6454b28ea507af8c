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
        low, high = (float(edge) for edge in torch.aminmax(result))
        found[node.name] = Range(
            low=low,
            high=high,
            usual_low=low,
            usual_high=high,
            mean=float(result.mean()),
            std=float(result.std()),
        )
        return result

    Walk(program, note).run(feeds)
    return Ranges(role=Role.ENCODER, by_name=found)
