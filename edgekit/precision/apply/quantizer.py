"""Apply a plan of INT8 nodes: torchao's PT2E pass with a quantizer that follows the plan.

PT2E normally observes ranges and decides codes itself. Here the plan alone decides the numbers, and
a test can read them back from the artifact. The result is a program with quantize and dequantize
operators, which every lowering knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.errors import BadInput
from edgekit.precision.decide.codes import limits
from edgekit.precision.decide.int8 import coded_operands, coded_results
from edgekit.precision.decide.plan import require_known_nodes
from edgekit.program.capture import Program
from edgekit.records import NodePlan, PartPlan, Precision, Quantization
from edgekit.runtimes.quiet import quiet

# torchao 0.18 logs every optional library of other hardware that it could not load.
with quiet("torch", "torchao"):
    from torchao.quantization.pt2e import observer
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import (
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
    )

_DTYPES = {"uint8": torch.uint8, "int8": torch.int8}


def apply_int8(program: Program, part: PartPlan, *, fold: bool = True) -> Program:
    """The program with the plan's integer codes; the program itself if the plan has none.

    Args:
        program: as captured, in float32, of static shapes (the encoder).
        part: its plan.
        fold: store weights as integers, as ONNX and Core ML need (coremltools 9.0 fails on an
            unfolded `quantize_per_channel`). litert-torch 0.10 needs float32 weights with their
            quantize operator and fails on folded ones ("stablehlo.uniform_dequantize operand
            must be ranked tensor").

    Raises:
        BadInput: the plan was made for another program, or codes a graph with dynamic shapes.
    """
    require_known_nodes(part, program)
    lines = {line.node: line for line in part.nodes if line.precision is Precision.INT8}
    if not lines:
        return program
    if any(isinstance(size, str) for spec in program.inputs for size in spec.shape):
        raise BadInput(
            f"The plan codes the {program.role}, whose number of prompts is not fixed.",
            expected="a graph of static shapes: torch.export cannot trace a dynamic one again",
            next_step="leave that role out of the target's int8.roles",
        )
    example = tuple(torch.zeros([int(size) for size in spec.shape]) for spec in program.inputs)
    with quiet("torch", "torchao"):
        prepared = prepare_pt2e(program.exported.module(check_guards=False), _PlanQuantizer(lines))
        converted = convert_pt2e(prepared, fold_quantize=fold)
        exported = torch.export.export(converted, example, strict=False)
    return replace(program, exported=exported)


class _PlanQuantizer(Quantizer):  # type: ignore[misc]
    """Annotates each node with the codes of its line in the plan."""

    def __init__(self, lines: dict[str, NodePlan]) -> None:
        self._lines = lines

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        results = coded_results(model.graph, self._lines)
        for node in model.graph.nodes:
            line, result = self._lines.get(node.name), results.get(node)
            if line or result:
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    input_qspec_map=_specs(node, line) if line else {},
                    output_qspec=_spec(result) if result else None,
                    _annotated=True,
                )
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing to check: `require_known_nodes` has compared the plan with the program."""


def _specs(node: fx.Node, line: NodePlan) -> dict[fx.Node, QuantizationSpec]:
    """A specification for each operand that the line codes. Weights are `get_attr` nodes here."""
    coded = coded_operands(node, line, is_constant=lambda operand: operand.op == "get_attr")
    return {operand: _spec(code) for operand, code in coded.items()}


def _spec(code: Quantization) -> QuantizationSpec:
    return QuantizationSpec(
        dtype=_DTYPES[code.dtype], observer_or_fake_quant_ctr=_FixedPerChannel(code)
    )


class _FixedPerChannel:
    """Takes the place of an observer's constructor."""

    # torchao 0.18 recognises per-channel observers by "PerChannel" in the constructor's name.
    __name__ = "FixedPerChannel"

    def __init__(self, code: Quantization) -> None:
        self._code = code

    def with_args(self, **_: Any) -> Any:
        """Ignore the specification that PT2E repeats here: the code holds everything."""
        return lambda: _FixedObserver(self._code)


class _FixedObserver(observer.ObserverBase):  # type: ignore[misc]
    """An observer that observes nothing and returns the plan's scale and zero point."""

    def __init__(self, code: Quantization) -> None:
        super().__init__(dtype=_DTYPES[code.dtype])
        per_tensor = code.axis is None
        self.qscheme = torch.per_tensor_affine if per_tensor else torch.per_channel_symmetric
        self.ch_axis = code.axis
        self.quant_min, self.quant_max = limits(code)
        self._scale = torch.tensor(code.scale)
        self._zero_point = torch.tensor(code.zero_point, dtype=torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        return x

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        return self._scale, self._zero_point
