"""Find where an INT8 program diverges from its float original, to report a failed gate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from edgekit.precision.apply.coded_walk import coded_walk
from edgekit.precision.decide.codes import limits
from edgekit.program.capture import Program
from edgekit.program.operators import floating_inputs, maker
from edgekit.program.walk import OnResult, Walk
from edgekit.records import Feeds, NodePlan, PartPlan, Precision, Quantization

DIVERGED_DB = 20.0
"""A block diverges if its signal-to-noise ratio is lower: the error is a tenth of the values."""
MOST_CLIPPED = 0.01
"""Share of values outside the range of the codes above which clipping is the cause."""

_SAMPLE = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first block that diverges, its signal-to-noise ratio in dB, and the likely cause."""

    block: str
    node: str
    decibels: float
    cause: str


def first_divergence(program: Program, part: PartPlan, feeds: Feeds) -> Divergence | None:
    """Run both programs on one input and compare node by node; None if no node diverges.

    Args:
        program: as captured, in float32.
        part: its INT8 plan.
        feeds: one input for the graph.
    """
    exact = _sampled(lambda keep: Walk(program, keep), feeds)
    coded = _sampled(lambda keep: coded_walk(program, part, keep), feeds)
    nodes = {node.name: node for node in program.exported.graph.nodes}
    for line in part.nodes:
        decibels = _decibels(exact[line.node], coded[line.node])
        if decibels < DIVERGED_DB:
            cause = _cause(nodes[line.node], line, exact)
            return Divergence(block=line.block, node=line.node, decibels=decibels, cause=cause)
    return None


def _cause(node: fx.Node, line: NodePlan, exact: Mapping[str, Tensor]) -> str:
    """An input whose values lie beyond its codes, or the operator itself."""
    if line.precision is not Precision.INT8:
        return f"operator: {line.operator} amplifies the error of what it reads"
    sources = [maker(source).name for source in floating_inputs(node)]
    clipped = {
        name: _share_clipped(exact[name], code)
        for name, code in zip(sources, line.inputs, strict=False)
        if code and name in exact
    }
    name, share = max(clipped.items(), key=lambda item: item[1], default=("", 0.0))
    if share > MOST_CLIPPED:
        return f"range: {share:.0%} of {name} lies outside the calibrated range"
    if name == "image":
        return "preprocessing: 8 bits are too few for the input itself"
    return f"operator: {line.operator}, with the summed errors of the blocks before it"


def _share_clipped(values: Tensor, code: Quantization) -> float:
    low, high = ((edge - code.zero_point[0]) * code.scale[0] for edge in limits(code))
    return float(((values < low - code.scale[0]) | (values > high + code.scale[0])).double().mean())


def _sampled(walk_of: Callable[[OnResult], Walk], feeds: Feeds) -> dict[str, Tensor]:
    """At most `_SAMPLE` elements of every node's result, the same ones in each run."""
    samples: dict[str, Tensor] = {}

    def keep(node: fx.Node, result: Tensor) -> Tensor:
        flat = result.flatten()
        samples[node.name] = flat[:: max(1, len(flat) // _SAMPLE)].clone()
        return result

    walk_of(keep).run(feeds)
    return samples


def _decibels(exact: Tensor, coded: Tensor) -> float:
    signal, noise = (float(torch.linalg.vector_norm(each)) for each in (exact, exact - coded))
    return 20 * math.log10(signal / noise) if signal and noise else math.inf
