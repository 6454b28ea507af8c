"""FP16 that is right by construction: which nodes stay FP32, from measured ranges.

A node is kept in FP32 (an island) if in FP16

- a value overflows: what it reads, what it puts out, or a partial sum on the way, estimated as the
  root of the sum of squares of a row of products (what TensorRT may accumulate in FP16);
- the squares inside a layer norm overflow, singly or summed, or a sum has more terms than FP16 can
  count (2048 ones: the next is lost). Users found that "LayerNorm in FP32" as a rule is both too
  much and not enough (mit-han-lab/efficientvit#142, yformer/EfficientTAM#17); here it is measured;
- its values underflow: they lie where FP16 has fewer than its 11 bits;
- rounding what it reads would cost too much of what it puts out: a difference of large numbers, the
  sine of a large angle, the softmax of large scores. Then what feeds it stays FP32 too, up to the
  last sum of products, since an island fed with rounded numbers computes their error exactly;
- it makes a measure (`GraphContract.measures`) from the last large products: FP16 knows positions
  beyond 512 to half a pixel, and candidates whose scores are equal are kept in another order.

Limits: FP16 has 10 + 1 bits, its largest number is 65504, its normal range begins at 2**-14.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, fx

from edgekit.precision.decide.plan import Decision, plannable, planned
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
"""Other photos reach further than those measured."""
UNIT = 2.0**-12
"""Typical error of rounding to FP16, relative to the number."""
SMALLEST_NORMAL = 2.0**-14
MOST_TERMS = 2048
ERROR_LIMIT = 2.0**-7
"""Estimated error of a node's result, relative to its rms, beyond which it is an island."""

LARGEST_TABLE = 64
"""Numbers in a weight that is a table, such as those of the bins of a distribution."""

_REDUCTIONS = frozenset({aten.mean.dim, aten.sum.dim_IntList})
_SUMS = _REDUCTIONS | {aten.softmax.int, aten.layer_norm.default}
_ANGLES = frozenset({aten.sin.default, aten.cos.default})
_TERMWISE = frozenset({aten.add.Tensor, aten.sub.Tensor})


def plan_fp16(program: Program, ranges: Ranges) -> PartPlan:
    """The plan of one program: FP16, but for the islands and what they need.

    Args:
        program: as captured, in float32.
        ranges: of the same program.
    """
    return planned_with(program, islands_of(program, ranges))


def planned_with(program: Program, islands: dict[str, str]) -> PartPlan:
    """The plan with these islands: node name -> reason.

    A node that only picks among numbers (ReLU, max pooling) stays in what made them.
    """
    settled: dict[str, Decision] = {}

    def decide(node: fx.Node) -> Decision:
        decision: Decision = (Precision.FP16, None)
        if node.name in islands:
            decision = (Precision.FP32, islands[node.name])
        elif node.target in EXACT:
            decision = settled.get(maker(next(floating_inputs(node))).name, decision)
        settled[node.name] = decision
        return decision

    return planned(program, decide)


def islands_of(program: Program, ranges: Ranges, *, measures: Sequence[str] = ()) -> dict[str, str]:
    """The nodes that FP16 would break, each with the reason."""
    judge = _Judge(program=program, ranges=ranges, sizes=nominal_sizes(program))
    islands = {
        node.name: f"makes {name}, which is measured with"
        for name in measures
        for node in _making(program, name)
    }
    for node in plannable(program):
        if reason := judge.overflow(node):
            islands.setdefault(node.name, reason)
        elif reason := judge.error(node):
            islands.setdefault(node.name, reason)
            for feeding in _feeding(node):
                islands.setdefault(feeding.name, f"feeds {node.name}: {reason}")
    return islands


def _making(program: Program, output: str) -> Iterator[fx.Node]:
    """What makes an output from the last products whose weights are more than a table."""
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


def _feeding(node: fx.Node) -> Iterator[fx.Node]:
    """What the node's inputs are made of, up to and with the nearest sums of products."""
    for source in floating_inputs(node):
        made_by = maker(source)
        if computes(made_by):
            yield made_by
            if made_by.target not in MAC_OPERATORS | _SUMS or _is_narrow(made_by):
                yield from _feeding(made_by)


def _summed_axes(node: fx.Node) -> Sequence[int]:
    """Of a sum over numbers: the axes of its operand that are summed over."""
    if node.target in _REDUCTIONS:
        return cast(Sequence[int], node.args[1])
    return (cast(int, node.args[1]),) if node.target is aten.softmax.int else (-1,)


def _is_narrow(node: fx.Node) -> bool:
    """Whether a product sums so few terms that their rounding errors do not average out."""
    size = node.all_input_nodes[0].meta["val"].shape[-1]
    return node.target in MAC_OPERATORS and isinstance(size, int) and size < 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """What FP16 would do to one node of a program."""

    program: Program
    ranges: Ranges
    sizes: Sizes

    def overflow(self, node: fx.Node) -> str | None:
        """The reason why a number on the way is too large, or a sum too long."""
        for source in (*floating_inputs(node), node):
            found = self.ranges.of(source)
            if found and found.abs_max * MARGIN > LARGEST:
                return f"range {found.abs_max:.2g} exceeds FP16"
        if node.target in _SUMS:
            return self._sum_overflow(node)
        if node.target in MAC_OPERATORS:
            partial = self._norm_of_terms(node)
            if partial * MARGIN > LARGEST:
                return f"partial sums of about {partial:.2g} exceed FP16"
        return None

    def error(self, node: fx.Node) -> str | None:
        """The reason why rounding would cost too much of the result."""
        made = self.ranges.of(node)
        if node.target in EXACT or made is None or made.rms == 0.0:
            return None
        if made.rms < SMALLEST_NORMAL:
            return f"values of rms {made.rms:.2g} underflow FP16"
        terms = self._magnitude_of_terms(node, made)
        error = UNIT * terms / made.rms
        if error > ERROR_LIMIT:
            return f"estimated error {error:.1%} in FP16: terms of {terms:.2g}, rms {made.rms:.2g}"
        return None

    def _sum_overflow(self, node: fx.Node) -> str | None:
        source = node.all_input_nodes[0]
        length = math.prod(shape_of(source, self.sizes)[axis] for axis in _summed_axes(node))
        if length > MOST_TERMS:
            return f"sum of {length} terms, FP16 counts to {MOST_TERMS}"
        found = self.ranges.of(source)
        if node.target is aten.layer_norm.default and found:
            squares = max(found.abs_max**2, length * found.rms**2)
            if squares * MARGIN > LARGEST:
                return f"squares up to {squares:.2g} exceed FP16"
        return None

    def _magnitude_of_terms(self, node: fx.Node, made: Range) -> float:
        """The size of what is rounded on the way to the result, in the result's units."""
        if node.target in MAC_OPERATORS:
            return self._norm_of_terms(node)
        read = [found for source in floating_inputs(node) if (found := self.ranges.of(source))]
        if node.target in _TERMWISE:
            return math.hypot(*(found.rms for found in read))
        if node.target in _ANGLES:
            return max(found.abs_max for found in read)
        if node.target is aten.softmax.int:
            # d exp(s) = exp(s) ds: the scores' absolute error is the shares' relative error.
            return made.rms * max(1.0, read[0].rms)
        return made.rms

    def _norm_of_terms(self, node: fx.Node) -> float:
        """Root of the expected sum of squares of the products that make one number."""
        left, right = (self._rms(source) for source in node.all_input_nodes[:2])
        return left * right * math.sqrt(terms_of(node, self.sizes))

    def _rms(self, node: fx.Node) -> float:
        """Of a result, or of the weight that it is."""
        if found := self.ranges.of(node):
            return found.rms
        exported = self.program.exported
        signature = exported.graph_signature
        names = signature.inputs_to_parameters | signature.inputs_to_buffers
        held = {**exported.state_dict, **exported.constants}.get(names.get(maker(node).name, ""))
        return float(held.detach().square().mean().sqrt()) if isinstance(held, Tensor) else 0.0
