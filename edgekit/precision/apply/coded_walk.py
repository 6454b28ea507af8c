"""Run a program under its INT8 plan in PyTorch, for the search and to find where it diverges.

Every operand that the plan codes is rounded to its code and back. Sums are float32, which agrees
exactly with a runtime's int32 accumulators below 2**24 steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from edgekit.precision.decide.codes import limits
from edgekit.precision.decide.int8 import coded_operands, coded_results, held_tensors
from edgekit.precision.decide.plan import require_known_nodes
from edgekit.program.capture import Program
from edgekit.program.walk import OnOperands, OnResult, Walk, unchanged
from edgekit.records import PartPlan, Precision, Quantization


def coded_walk(
    program: Program,
    part: PartPlan,
    on_result: OnResult | None = None,
    *,
    on_operands: OnOperands | None = None,
) -> Walk:
    """A session over the program under its plan; `on_result` and `on_operands` as for `Walk`.

    `on_operands` is called before the plan codes the values that it returns.

    Raises:
        BadInput: the plan was made for another program.
    """
    require_known_nodes(part, program)
    lines = {line.node: line for line in part.nodes if line.precision is Precision.INT8}
    constants = held_tensors(program)
    weights: dict[fx.Node, Tensor] = {}

    def code_operands(node: fx.Node, values: tuple[Any, ...]) -> tuple[Any, ...]:
        values = on_operands(node, values) if on_operands else values
        if node.name not in lines:
            return values
        codes = coded_operands(
            node, lines[node.name], is_constant=lambda operand: operand.name in constants
        )
        return tuple(
            coded(value, operand, codes[operand])
            if isinstance(operand, fx.Node) and operand in codes
            else value
            for operand, value in zip(node.args, values, strict=True)
        )

    results = coded_results(program.exported.graph, lines)
    look_at = on_result or unchanged

    def on_coded(node: fx.Node, result: Tensor) -> Tensor:
        code = results.get(node)
        return look_at(node, rounded_to_code(result, code) if code else result)

    def coded(value: Tensor, operand: fx.Node, code: Quantization) -> Tensor:
        if code.axis is None:
            return rounded_to_code(value, code)
        if operand not in weights:
            weights[operand] = rounded_to_code(value, code)
        return weights[operand]

    return Walk(program, on_coded, on_operands=code_operands)


def rounded_to_code(values: Tensor, code: Quantization) -> Tensor:
    """`values` rounded to the nearest codes, as float32 of the same shape."""
    if code.axis is None:
        return torch.fake_quantize_per_tensor_affine(
            values, code.scale[0], code.zero_point[0], *limits(code)
        )
    scale, zero_point = torch.tensor(code.scale), torch.tensor(code.zero_point, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(
        values, scale, zero_point, code.axis, *limits(code)
    )
