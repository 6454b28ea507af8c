"""INT8: which nodes read integer codes by a target's recipe, and with which scales.

These stay float:

- Products of attention: coded, they take a ViT's embeddings from 30 to 8 dB. The recipe's
  `attention` codes them all the same; no target sets it. `precision.techniques` has the two steps
  with which PTQ4SAM makes such codes, and `tests/README.md` what they gain.
- Layer norm, softmax, and other sums: no runtime makes them faster in INT8.
- The last convolution before each result: its error goes straight into the decoder, or into the
  boxes and scores of a detector. The recipe's `head` keeps more of them.
- Nodes for whose input 255 steps are too few (the recipe's limits in dB). In NanoSAM these are the
  second layer of the neck and three of the GELUs that read codes. The recipe of ONNX Runtime codes
  those GELUs: a float GELU makes the layer before it float.
- The decoder. A third of its work are products with weights, the most that codes could make faster.
  MACs of NanoSAM's, in millions, for boxes (seven tokens each); a batch shares one mask prompt
  (`tests/benchmarks/bench_decoder.py work`):

      boxes                              1       8      50
      of two activations               330    2640   16501
      with constants of positions       56     133     595
      with weights                     240    1391    8300

  At the peaks of a CPU with VNNI, 3.6 times float32's, codes in all of these would save a quarter
  of a prompt's arithmetic, before the cost of coding. At those of BF16 all of it takes half as long
  (`bf16`).
- Depthwise convolutions, and sums that only a layer norm reads, where the recipe says so or nothing
  is gained: they cost MobileSAM much of its masks' accuracy.

Mask IoU of NanoSAM's demonstration checkpoint with PyTorch, mean and 5th percentile, on 24 test
photos (224 prompts; rounded in PyTorch, `tests/benchmarks/bench_int8.py nanosam TARGET`):

    x86-int8     0.9847 0.962      android-int8 0.9825 0.960
    iphone-int8  0.9905 0.972      jetson-int8  0.9809 0.954 (symmetric codes; 6 layers in float)

For jetson-int8 on the same photos (`--whole-ranges --heads 6 1`; the range of an activation is the
span of one photo, averaged, as `codes` tells):

    range of all photos, 6 layers         0.9727 0.930
    range of one photo, averaged, 6       0.9809 0.954
    range of one photo, averaged, 1       0.9789 0.953

NNCF 3.4's `quantize_pt2e` is no better. With the placement and photos of x86-int8 (5 layers in
float), hence the same speed, and the checkpoint before the last refining, it gives 0.9818 0.951
30.2 dB; with its bias correction 0.9786 0.939 31.3 dB; with SmoothQuant no change. This module gave
0.9845 0.958 34.8 dB with that checkpoint (`bench_int8.py --nncf`).

The placement of codes decides both speed and error. OpenVINO fuses GELU into the convolution, and
codes between them split one kernel into three. ONNX Runtime computes a convolution or sum in
integers only if all that read its result read codes; such results are coded there, whoever reads
them, so that what the plan calls INT8 is. (Otherwise the first convolution of NanoSAM's `proj` runs
in float; mean IoU is 0.979 with its result coded and 0.980 without, on 4 photos with 32 prompts.) A
GELU reads codes there and computes in float. The error comes from activations more than from
weights, so weights are neither bias-corrected nor clipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor, fx

from edgekit.errors import BadInput
from edgekit.precision.decide.codes import activation_code, step, weight_code
from edgekit.precision.decide.plan import Decision, make_part, plannable
from edgekit.precision.measure.ranges import Ranges
from edgekit.program.attention import in_attention
from edgekit.program.capture import Program
from edgekit.program.operators import (
    CONVOLUTIONS,
    EXACT,
    LINEAR,
    PRODUCTS,
    WEIGHTED,
    aten,
    floating_inputs,
    maker,
)
from edgekit.records import Int8Recipe, NodePlan, PartPlan, Precision, Quantization

SMALLEST_CONSTANT = 2**16
"""Elements from which a constant in a sum (positions, attention biases) is stored in 8 bits."""

_GIVES_CODES = CONVOLUTIONS | {aten.add.Tensor, aten.max_pool2d.default}
"""Operators whose integer kernels in ONNX Runtime give codes only; MatMul's may give floats."""

_SMALLEST_RATIO = 1e-9
"""The signal-to-noise ratio of a tensor of zeros, since a logarithm needs a positive number."""


def plan_int8(
    program: Program,
    ranges: Ranges | None,
    recipe: Int8Recipe,
    *,
    in_float: Mapping[str, str] | None = None,
) -> PartPlan:
    """The plan of one program by the recipe.

    Args:
        program: as captured, in float32.
        ranges: those of the same program; may be None if the recipe leaves the program float.
        recipe: the target's.
        in_float: nodes that a search has returned to float: name -> reason.

    Raises:
        BadInput: `in_float` names an unknown node, or a range is not finite.
    """
    in_float = in_float or {}
    nodes = {node.name: node for node in plannable(program)}
    if unknown := in_float.keys() - nodes.keys():
        raise BadInput(
            f"The {program.role} has no nodes {', '.join(sorted(unknown))}.",
            expected="names as `edgekit inspect --precision` prints them",
        )
    coder = _Coder(program, ranges or Ranges(role=program.role, by_name={}), recipe)
    head = _head(program, recipe.head)

    def decide(node: fx.Node) -> Decision:
        if program.role not in recipe.roles:
            return Precision.FP32, f"recipe: the {program.role} stays float"
        if node.name in in_float:
            return Precision.FP32, in_float[node.name]
        if node.name in head:
            return Precision.FP32, "recipe: the output's head stays float"
        if coder.codes(node):
            coarse = coder.too_coarse(node) or coder.gives_too_coarse(node)
            return (Precision.FP32, coarse) if coarse else (Precision.INT8, coder.note(node))
        return Precision.FP32, _why_float(node)

    part = make_part(program, decide)
    return PartPlan(role=part.role, nodes=tuple(coder.coded(nodes[n.node], n) for n in part.nodes))


def coded_operands(
    node: fx.Node, line: NodePlan, *, is_constant: Callable[[fx.Node], bool]
) -> dict[fx.Node, Quantization]:
    """The operands that the line codes, each with its code; `is_constant` tells weights apart."""
    operands = list(floating_inputs(node))
    activations = [operand for operand in operands if not is_constant(operand)]
    coded = dict(zip(activations, line.inputs, strict=False))
    if line.weight is not None:
        coded[next(filter(is_constant, operands))] = line.weight
    return {operand: code for operand, code in coded.items() if code is not None}


def coded_results(graph: fx.Graph, lines: Mapping[str, NodePlan]) -> dict[fx.Node, Quantization]:
    """The nodes whose results the lines code, each with its code; a ReLU stands for its input."""
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
        """The line, with its codes if it is INT8."""
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
            result=self._code(_last_of_kernel(node)) if self._codes_result(node) else None,
        )

    def _codes_result(self, node: fx.Node) -> bool:
        if self._recipe.results == "where_needed":  # a constant alone in codes is added in float
            return node.target in _GIVES_CODES and any(self._operands(node)[0])
        return self._recipe.results == "coded"

    def note(self, node: fx.Node) -> str | None:
        """What the plan says of a coded node without an integer kernel in ONNX Runtime."""
        integer = self._codes_result(node) or node.target in LINEAR
        integer = integer or self._recipe.results != "where_needed"
        return None if integer else "reads codes, computes in float"

    def codes(self, node: fx.Node) -> bool:
        """Whether the recipe codes anything that the node reads."""
        inputs, weight = self._operands(node)
        return any(inputs) or weight is not None

    def too_coarse(self, node: fx.Node) -> str | None:
        """Why 255 steps are too few for an input of the node; None if they are enough."""
        if node.target in PRODUCTS:
            return None  # the recipe wants them coded
        product = node.target in WEIGHTED
        for source in filter(None, self._operands(node)[0]):
            decibels = self._decibels(source, source if product else node)
            if decibels < (self._recipe.product_db if product else self._recipe.function_db):
                return f"range: 8 bits of {maker(source).name} leave {decibels:.0f} dB"
        return None

    def gives_too_coarse(self, node: fx.Node) -> str | None:
        """Why the codes that a sum gives are too coarse for a product that reads them.

        None if they are fine enough, or the runtime's sums may give floats. A float sum costs
        little, and without it a product in float would read codes all the same.
        """
        if node.target is not aten.add.Tensor or not self._codes_result(node):
            return None
        result = _last_of_kernel(node)
        decibels = self._decibels(result, result)
        if decibels >= self._recipe.product_db or not any(
            r.target in WEIGHTED for r in result.users
        ):
            return None
        return f"range: 8 bits of its result leave {decibels:.0f} dB"

    def _decibels(self, coded: fx.Node, signal: fx.Node) -> float:
        """How far above the noise of one tensor's codes another is; infinite if not measured."""
        code, heard = self._ranges.of(coded), self._ranges.of(signal)
        if code is None or heard is None:
            return math.inf
        noise = step(code) / math.sqrt(12)
        return 20 * math.log10(max(heard.rms / noise, _SMALLEST_RATIO))

    def _operands(self, node: fx.Node) -> tuple[tuple[fx.Node | None, ...], fx.Node | None]:
        """The activations that the node reads as codes, in its order, and the constant."""
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
        elif node.target in PRODUCTS:
            return self._operands_of_product(node, activations), None
        elif name in self._recipe.reads and activations:
            return (activations[0],), None
        return (), None

    def _left_float(self, node: fx.Node) -> bool:
        return self._recipe.depthwise == "float" and _is_depthwise(node)

    def _operands_of_sum(
        self, node: fx.Node, sources: list[fx.Node], activations: list[fx.Node]
    ) -> tuple[tuple[fx.Node | None, ...], fx.Node | None]:
        constants = [s for s in sources if s.name in self._weights and _is_large(s)]
        if len(activations) == 1 and constants and self._recipe.results != "coded":
            return (None,), constants[0]  # only integer kernels need both operands coded
        if len(activations) != 2 or self._recipe.sums == "none" or not _read_as_codes(node):
            return (), None
        if self._recipe.sums == "both":
            return tuple(activations), None
        # TensorRT fuses the sum into the product that only this sum reads; the other operand is
        # read as codes.
        absorbed = [s.target in WEIGHTED and len(s.users) == 1 for s in activations]
        if not any(absorbed):
            return (), None
        product = activations[absorbed.index(True)]
        return tuple(None if s is product else s for s in activations), None

    def _operands_of_product(
        self, node: fx.Node, activations: list[fx.Node]
    ) -> tuple[fx.Node | None, ...]:
        if self._recipe.attention == "float" or not in_attention(node):
            return ()
        return tuple(activations) if len(activations) == 2 else ()  # one may be a constant

    def _code(self, source: fx.Node) -> Quantization:
        # LiteRT 2.1 wants the same code before and after max pooling.
        while (made_by := maker(source)).target is aten.max_pool2d.default:
            source = made_by.all_input_nodes[0]
        span = self._ranges.of(source)
        assert span is not None  # `_operands` returns measured nodes only
        return activation_code(span, self._recipe, name=source.name)


def held_tensors(program: Program) -> dict[str, Tensor]:
    """The program's weights, buffers and constants, by the name of their placeholder."""
    exported = program.exported
    signature = exported.graph_signature
    names = signature.inputs_to_parameters | signature.inputs_to_buffers
    names |= signature.inputs_to_lifted_tensor_constants
    held = {**exported.state_dict, **exported.constants}
    return {node: held[name] for node, name in names.items()}


def _head(program: Program, depth: int) -> set[str]:
    """The last `depth` convolutions, and the makers of their inputs.

    The last ones before each result count as one: `models.sam.photo_side` adds a dozen results.
    """
    if not depth:
        return set()
    last = set(_nearest(program))
    earlier = [n for n in plannable(program) if n.target in CONVOLUTIONS and n not in last]
    last.update(earlier[::-1][: depth - 1])
    makers = (maker(node.all_input_nodes[0]) for node in last)
    functions = {node.name for node in makers if node.target is not aten.add.Tensor}
    return functions | {node.name for node in last}


def _nearest(program: Program) -> Iterator[fx.Node]:
    """The last convolution on every path to a result; a model may have several results."""
    results = next(node for node in program.exported.graph.nodes if node.op == "output")
    pending, visited = list(results.all_input_nodes), set[fx.Node]()
    while pending:
        node = pending.pop()
        if node.target in CONVOLUTIONS:
            yield node
        elif node not in visited:
            visited.add(node)
            pending += floating_inputs(node)


def _last_of_kernel(node: fx.Node) -> fx.Node:
    """The ReLU if it is the node's only reader (runtimes fuse the two), otherwise the node."""
    readers = list(node.users)
    return readers[0] if [r.target for r in readers] == [aten.relu.default] else node


def _axis(node: fx.Node, weight: fx.Node) -> int:
    """The channel axis; in a constant of a sum, that of [1, C, H, W] or of heads [N, H, W]."""
    if node.target is aten.add.Tensor:
        return int(weight.meta["val"].dim()) - 3
    return 1 if node.target is aten.conv_transpose2d.input else 0


def _read_as_codes(node: fx.Node) -> bool:
    """Whether only products and sums read the result: a layer norm reads floats."""
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
