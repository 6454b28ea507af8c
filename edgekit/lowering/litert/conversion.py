"""Convert an ExportedProgram to the bytes of a `.tflite` file, with litert-torch.

Imports torch, so `lower` imports this module only when it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

from edgekit.lowering.litert.float16_weights import with_float16_weights
from edgekit.lowering.litert.float_interface import with_float_interface
from edgekit.lowering.litert.row_samples import sampled_rows
from edgekit.lowering.litert.xnnpack_products import with_xnnpack_products
from edgekit.records import Graph, Precision
from edgekit.runtimes.quiet import deep_recursion, quiet, silent_stderr

aten = torch.ops.aten


def tflite_from_program(graph: Graph, precision: Precision) -> bytes:
    """Convert a static program. The same program and converter give the same bytes.

    Raises:
        Exception: of any class; the converter has none of its own.
    """
    # litert-torch 0.10 logs progress, advice about other hardware and torch's deprecations.
    with silent_stderr(), deep_recursion(), quiet("torch", "torchao", "absl", "jax"):
        import litert_torch

        litert_torch.config.show_progress = False
        program = torch.export.load(graph.path).run_decompositions(_DECOMPOSITIONS)
        _decode_for_each_reader(program)
        feeds = {spec.name: torch.zeros(spec.shape) for spec in graph.inputs}  # type: ignore[arg-type]
        outputs = [spec.name for spec in graph.outputs]
        model = litert_torch.convert(
            _Named(program, outputs),
            sample_kwargs=feeds,
            quant_config=_integer_kernels() if precision is Precision.INT8 else None,
            runtime_constant_folding=True,
        )
        content = bytes(model.model_content())
    if precision is Precision.FP16:
        return with_float16_weights(content)
    content = with_xnnpack_products(content)  # a phone's GPU delegate takes the FP16 file instead
    return with_float_interface(content) if precision is Precision.INT8 else content


def _integer_kernels() -> object:
    """A setting that makes the converter use integer operators between codes."""
    # litert-torch 0.10 decides this by the quantizer that it believes to have coded the program.
    # It asks only whether the scales of activations are static.
    from litert_torch.quantize.pt2e_quantizer import (
        PT2EQuantizer,
        get_symmetric_quantization_config,
    )
    from litert_torch.quantize.quant_config import QuantConfig

    static = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False)
    return QuantConfig(pt2e_quantizer=PT2EQuantizer().set_global(static))


class _Named(nn.Module):
    """A program with named results; the converter (0.10) would call them output_0, output_1."""

    def __init__(self, program: ExportedProgram, outputs: Sequence[str]) -> None:
        super().__init__()
        self.program = program.module()
        self.inputs = program.graph_signature.user_inputs
        self.outputs = outputs
        # litert-torch 0.10 checks `training`, and an exported module has no eval().
        self.training = False

    def forward(self, **feeds: Tensor) -> dict[str, Tensor]:
        results = self.program(*(feeds[str(name)] for name in self.inputs))
        results = (results,) if isinstance(results, Tensor) else results
        return dict(zip(self.outputs, results, strict=True))


_GEOMETRY = ((1, 1), (0, 0), (0, 0), 1, (1, 1))
"""Defaults of stride, padding, output padding, groups and dilation in aten's schema."""


def _conv_transpose2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *given: Sequence[int] | int
) -> Tensor:
    """A transposed convolution with zero taps in place of output padding, for dilation 1.

    The result is the same: output padding adds the rows that a longer kernel would reach.
    """
    # litert-torch 0.10 appends zeros to the result for output padding (backend/lowerings/
    # _convolution.py), which is wrong, and then fails to legalize the rest. LiteRT's GPU delegate
    # also has a kernel for 4x4 taps of stride 2.
    stride, padding, (down, right), groups, dilation = (*given, *_GEOMETRY[len(given) :])  # type: ignore[misc]
    weight = F.pad(weight, (0, right, 0, down))
    result: Tensor = aten.convolution.default(
        x, weight, bias, stride, padding, dilation, True, [0, 0], groups
    )
    return result


_LONG, _BLOCKS = 2**15, 16


def _matmul(left: Tensor, right: Tensor) -> Tensor:
    """A product whose right side all prompts share, [B, H, M, K] by [1, H, K, N] or [H, K, N].

    The rows of all prompts are stacked: one product per head, of B * M rows.
    """
    # litert-torch 0.10 repeats the right side B times. A repeated constant is stored B times, and
    # LiteRT 2.1 repeats a tensor with a kernel of one thread, outside XNNPACK.
    if left.dim() == 3 and left.shape[0] == right.shape[0] == 1 and left.shape[2] > _LONG:
        return _in_blocks(left, right)
    if left.dim() != 4 or left.shape[0] == 1 or (right.dim() == 4 and right.shape[0] > 1):
        return NotImplemented  # type: ignore[no-any-return]
    prompts, heads = left.shape[:2]
    rows = left.transpose(0, 1).reshape(heads, -1, left.shape[3])
    product = torch.bmm(rows, right.reshape(-1, *right.shape[-2:]))
    return product.reshape(heads, prompts, left.shape[2], -1).transpose(0, 1)


def _in_blocks(left: Tensor, right: Tensor) -> Tensor:
    """A product of long rows, [1, M, K] by [1, K, N], as the sum of `_BLOCKS` products."""
    # XNNPACK adds up a row's terms one after the other, and 65,536 of them lose digits in float32.
    rows = left.reshape(left.shape[1], _BLOCKS, -1).transpose(0, 1)
    columns = right.reshape(_BLOCKS, -1, right.shape[2])
    return torch.bmm(rows, columns).sum(dim=0, keepdim=True)


_DECOMPOSITIONS = {
    aten.grid_sampler.default: sampled_rows,
    aten.conv_transpose2d.input: _conv_transpose2d,
    aten.matmul.default: _matmul,
}


def _decode_for_each_reader(program: ExportedProgram) -> None:
    """Give each reader of codes a dequantize node of its own."""
    # The layout pass of litert-torch 0.10 (`insert_t_q_dq`) forgets the shape of a dequantize node
    # when it transposes for one reader, and then refuses the next reader.
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target is torch.ops.quantized_decomposed.dequantize_per_tensor.default:
            # A program output keeps the node, since the program's signature names it.
            readers = sorted(node.users, key=lambda reader: reader.op != "output")
            for reader in readers[1:]:
                with graph.inserting_before(reader):
                    reader.replace_input_with(node, graph.node_copy(node))
    program.graph_module.recompile()
