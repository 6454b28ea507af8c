"""Decide from measured ranges which nodes must stay FP32 in an FP16 plan.

A node stays FP32 (it is an "island") if one of these holds in FP16:

- A value overflows: an input, a result, or a partial sum. Partial sums are estimated as the root of
  the sum of squares of a row of products, since TensorRT may accumulate them in FP16.
- The squares inside a layer norm overflow, singly or summed, or a sum has more terms than FP16 can
  count (2048 + 1 is 2048). The fixed rule "LayerNorm in FP32" keeps both too much and too little in
  FP32 (mit-han-lab/efficientvit#142, yformer/EfficientTAM#17), so each one is measured here.
- Values underflow: they lie where FP16 has fewer than its 11 bits.
- Rounding the inputs costs too much of the result: a difference of large numbers, the sine of a
  large angle, the softmax of large scores. The nodes that feed the island then stay FP32 too, up to
  the nearest sum of products. Fed with rounded numbers, an island computes their error exactly.
- The node makes one of the tensors in `GraphContract.measures` from the last large products. FP16
  has steps of half a pixel beyond 512, and candidates with equal scores change their order.

FP16 has 10 + 1 bits. Its largest number is 65504 and its normal range starts at 2**-14.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, fx

from edgekit.precision.decide.plan import Decision, make_part, plannable
from edgekit.precision.measure.ranges import Range, Ranges
from edgekit.program.capture import Program
from edgekit.program.operators import (
    EXACT,
    MAC_OPERATORS,
    WEIGHTED,
    aten,
    computes,
    floating_inputs,
    maker,
)
from edgekit.program.work import Sizes, nominal_sizes, shape_of, terms_of
from edgekit.records import PartPlan, Precision

LARGEST = 65504.0
MARGIN = 2.0
"""Headroom for photos that reach further than the measured ones."""
UNIT = 2.0**-12
"""Typical error of rounding to FP16, relative to the number."""
SMALLEST_NORMAL = 2.0**-14
MOST_TERMS = 2048
ERROR_LIMIT = 2.0**-7
"""Error of a result, relative to its rms, above which the node is an island."""

LARGEST_TABLE = 64
"""Most elements of a weight that is a lookup table, such as the bins of a distribution."""

_REDUCTIONS = frozenset({aten.mean.dim, aten.sum.dim_IntList})
_SUMS = _REDUCTIONS | {aten.softmax.int, aten.layer_norm.default}
_ANGLES = frozenset({aten.sin.default, aten.cos.default})
_TERMWISE = frozenset({aten.add.Tensor, aten.sub.Tensor})


def plan_with_islands(program: Program, islands: dict[str, str]) -> PartPlan:
    """The FP16 plan with these islands (node name -> reason).

    A node that only selects among numbers (ReLU, max pooling) keeps the precision of its input.
    """
    decisions: dict[str, Decision] = {}

    def decide(node: fx.Node) -> Decision:
        decision: Decision = (Precision.FP16, None)
        if node.name in islands:
            decision = (Precision.FP32, islands[node.name])
        elif node.target in EXACT:
            decision = decisions.get(maker(next(floating_inputs(node))).name, decision)
        decisions[node.name] = decision
        return decision

    return make_part(program, decide)


def islands_of(program: Program, ranges: Ranges, *, measures: Sequence[str] = ()) -> dict[str, str]:
    """The nodes that FP16 would break, each with the reason.

    Args:
        program: as captured, in float32.
        ranges: those of the same program.
        measures: outputs that hold positions or scores (`GraphContract.measures`).
    """
    estimator = _ErrorEstimator(program=program, ranges=ranges, sizes=nominal_sizes(program))
    islands = {
        node.name: f"makes {name}, which is measured with"
        for name in measures
        for node in _makers_of_output(program, name)
    }
    for node in plannable(program):
        if reason := estimator.overflow(node):
            islands.setdefault(node.name, reason)
        elif reason := estimator.error(node):
            islands.setdefault(node.name, reason)
            for feeding in _feeding_nodes(node):
                islands.setdefault(feeding.name, f"feeds {node.name}: {reason}")
    return islands


def _makers_of_output(program: Program, output: str) -> Iterator[fx.Node]:
    """The nodes between the last products with large weights and an output."""
    names = [spec.name for spec in program.outputs]
    if output not in names:
        return
    results = next(node for node in program.exported.graph.nodes if node.op == "output").args[0]
    pending = [results[names.index(output)]]
    while pending:
        node = maker(pending.pop())
        if computes(node) and not _has_large_weight(node):
            yield node
            pending += floating_inputs(node)


def _has_large_weight(node: fx.Node) -> bool:
    if node.target not in WEIGHTED:
        return False
    return bool(node.all_input_nodes[1].meta["val"].numel() > LARGEST_TABLE)


def _feeding_nodes(node: fx.Node) -> Iterator[fx.Node]:
    """The nodes that the inputs are computed from, back to the nearest products (included)."""
    for source in floating_inputs(node):
        made_by = maker(source)
        if computes(made_by):
            yield made_by
            if made_by.target not in MAC_OPERATORS | _SUMS or _is_narrow(made_by):
                yield from _feeding_nodes(made_by)


def _summed_axes(node: fx.Node) -> Sequence[int]:
    """The axes of its operand that a reduction, softmax or layer norm sums over."""
    if node.target in _REDUCTIONS:
        return cast(Sequence[int], node.args[1])
    return (cast(int, node.args[1]),) if node.target is aten.softmax.int else (-1,)


def _is_narrow(node: fx.Node) -> bool:
    """Whether a product sums too few terms for their rounding errors to average out."""
    size = node.all_input_nodes[0].meta["val"].shape[-1]
    return node.target in MAC_OPERATORS and isinstance(size, int) and size < 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _ErrorEstimator:
    """Estimates what FP16 does to one node of a program."""

    program: Program
    ranges: Ranges
    sizes: Sizes

    def overflow(self, node: fx.Node) -> str | None:
        """Why a value is too large for FP16 or a sum too long; None if neither is."""
        for source in (*floating_inputs(node), node):
            span = self.ranges.of(source)
            if span and span.abs_max * MARGIN > LARGEST:
                return f"range {span.abs_max:.2g} exceeds FP16"
        if node.target in _SUMS:
            return self._sum_overflow(node)
        if node.target in MAC_OPERATORS:
            partial = self._norm_of_terms(node)
            if partial * MARGIN > LARGEST:
                return f"partial sums of about {partial:.2g} exceed FP16"
        return None

    def error(self, node: fx.Node) -> str | None:
        """Why rounding costs too much of the result; None if it does not."""
        result = self.ranges.of(node)
        if node.target in EXACT or result is None or result.rms == 0.0:
            return None
        if result.rms < SMALLEST_NORMAL:
            return f"values of rms {result.rms:.2g} underflow FP16"
        terms = self._magnitude_of_terms(node, result)
        error = UNIT * terms / result.rms
        if error > ERROR_LIMIT:
            rms = result.rms
            return f"estimated error {error:.1%} in FP16: terms of {terms:.2g}, rms {rms:.2g}"
        return None

    def _sum_overflow(self, node: fx.Node) -> str | None:
        source = node.all_input_nodes[0]
        length = math.prod(shape_of(source, self.sizes)[axis] for axis in _summed_axes(node))
        if length > MOST_TERMS:
            return f"sum of {length} terms, FP16 counts to {MOST_TERMS}"
        span = self.ranges.of(source)
        if node.target is aten.layer_norm.default and span:
            squares = max(span.abs_max**2, length * span.rms**2)
            if squares * MARGIN > LARGEST:
                return f"squares up to {squares:.2g} exceed FP16"
        return None

    def _magnitude_of_terms(self, node: fx.Node, result: Range) -> float:
        """The size of the numbers that are rounded on the way to the result, in its units."""
        if node.target in MAC_OPERATORS:
            return self._norm_of_terms(node)
        spans = [span for source in floating_inputs(node) if (span := self.ranges.of(source))]
        if node.target in _TERMWISE:
            return math.hypot(*(span.rms for span in spans))
        if node.target in _ANGLES:
            return max(span.abs_max for span in spans)
        if node.target is aten.softmax.int:
            # d exp(s) = exp(s) ds: a score's absolute error is the relative error of its share.
            return result.rms * max(1.0, spans[0].rms)
        return result.rms

    def _norm_of_terms(self, node: fx.Node) -> float:
        """Root of the expected sum of squares of the products that are summed into one number."""
        left, right = (self._rms(source) for source in node.all_input_nodes[:2])
        return left * right * math.sqrt(terms_of(node, self.sizes))

    def _rms(self, node: fx.Node) -> float:
        """The rms of a measured result or of a weight; 0 if neither is known."""
        if span := self.ranges.of(node):
            return span.rms
        exported = self.program.exported
        signature = exported.graph_signature
        names = signature.inputs_to_parameters | signature.inputs_to_buffers
        held = {**exported.state_dict, **exported.constants}.get(names.get(maker(node).name, ""))
        return float(held.detach().square().mean().sqrt()) if isinstance(held, Tensor) else 0.0
