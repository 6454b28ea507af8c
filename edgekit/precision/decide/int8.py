"""INT8: which nodes read integer codes, by a target's recipe, and with which scales.

What stays float, by measurement (toolchain notes, section 4): attention's products (with them a
ViT's embeddings fall from 30 to 8 dB), layer norm, softmax, and sums of other kinds, which no
runtime makes faster. Products of activations in float are also why PTQ4SAM's sign fold of the key
projection has nothing to gain here: what it makes one-humped is never coded. The last convolution
to each result stays float too, its error goes straight into the decoder (or, in a detector, into
boxes and scores); how many more do is the recipe's `head`.

What a node reads stays float where 255 steps are too few for it (the recipe's floors in dB): of
NanoSAM that is the second layer of its neck, 1 % of the work, and three of the GELUs that read
codes. ONNX Runtime keeps those: a float GELU makes the layer before it float, 2.2 times as fast as
FP32 instead of 2.5. Mask IoU with PyTorch, mean and 5th percentile, on 24 of the project's test
photos (224 prompts; rounded in PyTorch, `tests/benchmarks/bench_int8.py nanosam TARGET`):

    x86-int8     0.9836 0.956      android-int8 0.9801 0.949
    iphone-int8  0.9884 0.967      jetson-int8  0.9807 0.946 (symmetric codes; 6 layers in float)

An activation's range is what one photo spans, averaged (`codes`). On the same photos, jetson-int8:

    range                       channels as they are         equalized across layers
    of all photos               0.9763 0.942 23.9 dB         0.9752 0.939 20.6 dB
    of one photo, averaged      0.9807 0.946 28.4 dB         0.9765 0.941 24.8 dB

Equalization was therefore removed: commit 7352d41 has it, and the options of this table.
NNCF 3.4's `quantize_pt2e` on the placement, calibration photos and weights of x86-int8 (5 layers in
float), so at the same speed: 0.9818 0.951 30.2 dB, with its bias correction 0.9786 0.939 31.3 dB,
with SmoothQuant no change; ours: 0.9845 0.958 34.8 dB. Hence no NNCF (`--nncf`).

Depthwise convolutions and sums that only a layer norm reads stay float where the recipe says so or
nothing is gained: MobileSAM (trained for 112 steps, 4 photos, 36 prompts) has 0.9584, 0.877 with
them coded, 0.9753, 0.954 without, and 0.9983, 0.996 with linear layers alone.

Where codes are placed decides both speed and error. NanoSAM's encoder, ONNX Runtime in float = 1:

    OpenVINO, codes before max pooling          3.7x
    OpenVINO, before GELU as well               2.7x
    ONNX Runtime, before max pooling and GELU   2.6x

OpenVINO fuses GELU into the convolution, so that codes between them split one kernel into three;
ONNX Runtime takes its integer convolution only where the output is coded. The error is the
activations' (31.6 dB; weights alone 42.7 dB), which is why weights are neither corrected for bias
nor clipped here. (Speeds and these dB: the first demonstration checkpoint.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor, fx

from edgekit.errors import BadInput
from edgekit.precision.decide.codes import activation_code, step, weight_code
from edgekit.precision.decide.plan import Decision, plannable, planned
from edgekit.precision.measure.ranges import Ranges
from edgekit.program.capture import Program
from edgekit.program.operators import (
    CONVOLUTIONS,
    EXACT,
    PRODUCTS,
    WEIGHTED,
    aten,
    floating_inputs,
    maker,
)
from edgekit.records import Int8Recipe, NodePlan, PartPlan, Precision, Quantization

SMALLEST_CONSTANT = 2**16
"""Numbers in a constant operand of a sum (positions, attention biases) worth storing in 8 bits."""

_NOTHING = 1e-9
"""A ratio whose logarithm can still be taken: a tensor that is zero everywhere."""


def plan_int8(
    program: Program,
    ranges: Ranges | None,
    recipe: Int8Recipe,
    *,
    returned: Mapping[str, str] | None = None,
) -> PartPlan:
    """The plan of one program by the recipe.

    Args:
        program: as captured, in float32.
        ranges: of the same program; None will do where the recipe leaves it float.
        recipe: the target's.
        returned: nodes that a search has moved back to float: name -> reason.

    Raises:
        BadInput: `returned` names a node that is not there, or a range is not finite.
    """
    returned = returned or {}
    nodes = {node.name: node for node in plannable(program)}
    if strangers := returned.keys() - nodes.keys():
        raise BadInput(
            f"The {program.role} has no nodes {', '.join(sorted(strangers))}.",
            expected="names as `edgekit inspect --precision` prints them",
        )
    coder = _Coder(program, ranges or Ranges(role=program.role, by_name={}), recipe)
    head = _head(program, recipe.head)

    def decide(node: fx.Node) -> Decision:
        if program.role not in recipe.roles:
            return Precision.FP32, f"recipe: the {program.role} stays float"
        if node.name in returned:
            return Precision.FP32, returned[node.name]
        if node.name in head:
            return Precision.FP32, "recipe: the output's head stays float"
        if coder.codes(node):
            coarse = coder.too_coarse(node)
            return (Precision.FP32, coarse) if coarse else (Precision.INT8, None)
        return Precision.FP32, _why_float(node)

    part = planned(program, decide)
    return PartPlan(role=part.role, nodes=tuple(coder.coded(nodes[n.node], n) for n in part.nodes))


def coded_operands(
    node: fx.Node, line: NodePlan, *, is_constant: Callable[[fx.Node], bool]
) -> dict[fx.Node, Quantization]:
    """Which of the node's operands the line codes, and how; `is_constant` tells weights."""
    operands = list(floating_inputs(node))
    activations = [operand for operand in operands if not is_constant(operand)]
    coded = dict(zip(activations, line.inputs, strict=False))
    if line.weight is not None:
        coded[next(filter(is_constant, operands))] = line.weight
    return {operand: code for operand, code in coded.items() if code is not None}


def coded_results(graph: fx.Graph, lines: Mapping[str, NodePlan]) -> dict[fx.Node, Quantization]:
    """Which nodes' results the lines code, and how: of each node, or of the ReLU behind it."""
    nodes = (node for node in graph.nodes if node.name in lines)
    codes = ((_last_of_kernel(node), lines[node.name].result) for node in nodes)
    return {node: code for node, code in codes if code is not None}


class _Coder:
    """The codes of a program's nodes by a recipe."""

    def __init__(self, program: Program, ranges: Ranges, recipe: Int8Recipe) -> None:
        self._ranges = ranges
        self._recipe = recipe
        self._weights = held_tensors(program)

    def coded(self, node: fx.Node, line: NodePlan) -> NodePlan:
        """The line with its codes, where it is INT8."""
        if line.precision is not Precision.INT8:
            return line
        inputs, weight = self._operands(node)
        return NodePlan(
            node=line.node,
            operator=line.operator,
            block=line.block,
            macs=line.macs,
            precision=line.precision,
            reason=line.reason,
            inputs=tuple(self._code(source) if source else None for source in inputs),
            weight=weight_code(self._weights[weight.name], _axis(node, weight)) if weight else None,
            result=self._code(_last_of_kernel(node)) if self._recipe.results == "coded" else None,
        )

    def codes(self, node: fx.Node) -> bool:
        """Whether the recipe codes anything that the node reads."""
        inputs, weight = self._operands(node)
        return any(inputs) or weight is not None

    def too_coarse(self, node: fx.Node) -> str | None:
        """Why 255 steps are too few for something that the node reads; None if they are not."""
        product = node.target in WEIGHTED
        for source in filter(None, self._operands(node)[0]):
            read, made = self._ranges.of(source), self._ranges.of(source if product else node)
            if read is None or made is None:
                continue
            noise = step(read) / math.sqrt(12)
            decibels = 20 * math.log10(max(made.rms / noise, _NOTHING))
            if decibels < (self._recipe.product_db if product else self._recipe.function_db):
                return f"range: 8 bits of {maker(source).name} leave {decibels:.0f} dB"
        return None

    def _operands(self, node: fx.Node) -> tuple[tuple[fx.Node | None, ...], fx.Node | None]:
        """Which activations the node reads as codes, in its order, and which constant."""
        name = str(node.target).removeprefix("aten.").partition(".")[0]
        sources = list(floating_inputs(node))
        activations = [s for s in sources if self._ranges.of(s) is not None]
        if node.target in WEIGHTED:
            weight = sources[1]
            wanted = name in self._recipe.weighted and not self._left_float(node)
            if wanted and activations and weight.name in self._weights:
                return (activations[0],), weight
        elif node.target is aten.add.Tensor:
            return self._operands_of_sum(node, sources, activations)
        elif name in self._recipe.reads and activations:
            return (activations[0],), None
        return (), None

    def _left_float(self, node: fx.Node) -> bool:
        return self._recipe.depthwise == "float" and _is_depthwise(node)

    def _operands_of_sum(
        self, node: fx.Node, sources: list[fx.Node], activations: list[fx.Node]
    ) -> tuple[tuple[fx.Node | None, ...], fx.Node | None]:
        constants = [s for s in sources if s.name in self._weights and _is_large(s)]
        if len(activations) == 1 and constants and self._recipe.results == "float":
            return (None,), constants[0]  # integer kernels alone would want both operands coded
        if len(activations) != 2 or self._recipe.sums == "none" or not _read_as_codes(node):
            return (), None
        if self._recipe.sums == "both":
            return tuple(activations), None
        # The product that only this sum reads absorbs it; the other operand comes as codes.
        absorbed = [s.target in WEIGHTED and len(s.users) == 1 for s in activations]
        if not any(absorbed):
            return (), None
        product = activations[absorbed.index(True)]
        return tuple(None if s is product else s for s in activations), None

    def _code(self, source: fx.Node) -> Quantization:
        """What max pooling picks keeps the code of what it picks from: LiteRT takes no other."""
        while (made := maker(source)).target is aten.max_pool2d.default:
            source = made.all_input_nodes[0]
        found = self._ranges.of(source)
        assert found is not None  # `_operands` names no other
        return activation_code(found, self._recipe, name=source.name)


def held_tensors(program: Program) -> dict[str, Tensor]:
    """The tensors that the program holds, by the name of their placeholder."""
    exported = program.exported
    signature = exported.graph_signature
    names = signature.inputs_to_parameters | signature.inputs_to_buffers
    names |= signature.inputs_to_lifted_tensor_constants
    held = {**exported.state_dict, **exported.constants}
    return {node: held[name] for node, name in names.items()}


def _head(program: Program, depth: int) -> set[str]:
    """The last `depth` convolutions, those nearest to each result, and what makes their input."""
    in_order = [node for node in plannable(program) if node.target in CONVOLUTIONS]
    last = {*in_order[max(0, len(in_order) - depth) :], *(_nearest(program) if depth else ())}
    makers = (maker(node.all_input_nodes[0]) for node in last)
    functions = {node.name for node in makers if node.target is not aten.add.Tensor}
    return functions | {node.name for node in last}


def _nearest(program: Program) -> Iterator[fx.Node]:
    """The last convolution on every way to a result; a model may have several results."""
    results = next(node for node in program.exported.graph.nodes if node.op == "output")
    pending, seen = list(results.all_input_nodes), set[fx.Node]()
    while pending:
        node = pending.pop()
        if node.target in CONVOLUTIONS:
            yield node
        elif node not in seen:
            seen.add(node)
            pending += floating_inputs(node)


def _last_of_kernel(node: fx.Node) -> fx.Node:
    """The ReLU that alone reads the node, which runtimes compute in the same kernel; or itself."""
    readers = list(node.users)
    return readers[0] if [r.target for r in readers] == [aten.relu.default] else node


def _axis(node: fx.Node, weight: fx.Node) -> int:
    """Of output channels; in a table of a sum, of channels [1, C, H, W] or heads [N, H, W]."""
    if node.target is aten.add.Tensor:
        return int(weight.meta["val"].dim()) - 3
    return 1 if node.target is aten.conv_transpose2d.input else 0


def _read_as_codes(node: fx.Node) -> bool:
    """Whether only products and sums read the result: a layer norm would have it in float."""
    return all(
        _read_as_codes(user)
        if user.target is aten.relu.default
        else user.target in WEIGHTED or user.target is aten.add.Tensor
        for user in node.users
    )


def _is_depthwise(node: fx.Node) -> bool:
    """A convolution of each channel by itself."""
    return node.target is aten.conv2d.default and node.args[6:] not in ((), (1,))


def _is_large(node: fx.Node) -> bool:
    value = node.meta["val"]
    return bool(value.dim() in (3, 4) and value.numel() >= SMALLEST_CONSTANT)


def _why_float(node: fx.Node) -> str:
    if node.target in EXACT:
        return "exact in any precision"
    if node.target in PRODUCTS:
        return "recipe: products of activations stay float"
    return "recipe: not made faster by codes"
