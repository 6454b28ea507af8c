"""Fold each batch norm into the convolution before it.

This happens on the module and not in ONNX, so that all lowerings start from the folded weights, and
INT8 scales fit the weights that ship. Pairs come from the captured data flow and not from the order
of submodules: SqueezeSAM runs conv, ReLU, batch norm, which must not be folded.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv_transpose2d.input)
_NORM = torch.ops.aten.batch_norm.default


def fold_batch_norm(module: nn.Module, example: tuple[Tensor, ...]) -> nn.Module:
    """A copy in eval mode without the batch norms that directly follow a Conv2d or ConvTranspose2d.

    A convolution that has other readers, or that runs twice, keeps its batch norm.

    Args:
        module: any module without data-dependent control flow; it is left unchanged.
        example: its inputs, in the size that will be exported.
    """
    folded = copy.deepcopy(module).eval()
    program = torch.export.export(folded, example, strict=False)
    for conv_name, norm_name in _pairs(program):
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        # The result must hold plain Parameters: torch.export 2.13 rejects other tensors ("Cannot
        # assign non-leaf Tensor to parameter 'weight'").
        transposed = isinstance(conv, nn.ConvTranspose2d)
        if transposed and conv.groups != 1:  # torch's function folds no groups of these
            continue
        folded.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm, transposed))  # type: ignore[type-var,arg-type]
        folded.set_submodule(norm_name, nn.Identity())
    return folded


def _pairs(program: ExportedProgram) -> Iterator[tuple[str, str]]:
    """Names of (convolution, batch norm) submodules, found by the operators that read them."""
    signature = program.graph_signature
    owners = {
        node: tensor.rpartition(".")[0]
        for node, tensor in (signature.inputs_to_parameters | signature.inputs_to_buffers).items()
    }
    for norm in program.graph.nodes:
        if norm.target is _NORM and _feeds_only(norm.args[0], norm):
            weight, mean = norm.args[0].args[1], norm.args[3]
            if len(weight.users) == len(mean.users) == 1:
                yield owners[weight.name], owners[mean.name]


def _feeds_only(conv: fx.Node, norm: fx.Node) -> bool:
    return conv.target in _CONVS and list(conv.users) == [norm]
