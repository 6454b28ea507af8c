"""Capture the two halves of a model with `torch.export`, under the graph contract.

Every lowering starts from these programs. Their names and dynamic dimensions are those of the graph
contract.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from edgekit.errors import GraphRejected
from edgekit.program.passes.bake_tables import bake_tables
from edgekit.program.passes.fold_batch_norm import fold_batch_norm
from edgekit.program.passes.prove_sizes import prove_sizes
from edgekit.records import GraphContract, Role, TensorSpec

Features = tuple[TensorSpec, ...]

PROMPTS = "prompts"
POINTS = "points"
_MAX = {PROMPTS: 1024, POINTS: 64}
# Example sizes must differ from 1, which torch.export specialises to, and from every constant of
# the decoder, so that no two dimensions are confused.
_EXAMPLE = {PROMPTS: 3, POINTS: 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A captured half of a model and its interface; dynamic dimensions are strings."""

    role: Role
    exported: ExportedProgram
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def image_embeddings(channels: int = 256, height: int = 64, width: int = 64) -> Features:
    """The only result of most families' encoders."""
    return (_float32("image_embeddings", (1, channels, height, width)),)


def capture_encoder(
    encoder: nn.Module,
    *,
    frame: int = 1024,
    channels: int = 3,
    contract: GraphContract | None = None,
) -> Program:
    """Capture `image` -> features, with static shapes and folded batch norms.

    `image` is [1, channels, frame, frame]; the contract says how many axes follow the channels.

    Raises:
        GraphRejected: the module's arguments or results are not those of the graph contract.
    """
    contract = contract or GraphContract()
    sides = (frame,) * contract.axes
    inputs = (_float32("image", (1, channels, *sides)),)
    example = _example(inputs)
    ready = fold_batch_norm(bake_tables(encoder), example)
    exported = torch.export.export(ready, example, strict=False)
    return _program(Role.ENCODER, exported, inputs=inputs, contract=contract)


def capture_decoder(
    decoder: nn.Module,
    *,
    features: Features | None = None,
    slots: int | None = None,
    prompts: int = 1,
    contract: GraphContract | None = None,
) -> Program:
    """Capture the decoder for any number of prompts (1 to 1024) and points (1 to 64).

    Features keep batch 1 for any number of prompts. So does the mask prompt: prompts with different
    masks take a call each. Masks are four times as wide as the first feature.

    Args:
        decoder: the module in its exported form, which is left unchanged.
        features: the outputs of the encoder's program; None means `image_embeddings()`.
        slots: for runtimes without dynamic shapes: the points of each prompt, of which unused
            ones are `Label.EMPTY`.
        prompts: with `slots`, the number of prompts.
        contract: the model's tensor names; None means those of most families.

    Raises:
        GraphRejected: the module's arguments or results are not those of the graph contract.
    """
    contract = contract or GraphContract()
    shape = (PROMPTS, POINTS) if slots is None else (prompts, slots)
    inputs = _decoder_inputs(features or image_embeddings(), contract, shape)
    dims = {name: Dim(name, min=1, max=most) for name, most in _MAX.items()}
    dynamic = tuple(
        {axis: dims[dim] for axis, dim in enumerate(spec.shape) if isinstance(dim, str)}
        for spec in inputs
    )
    exported = torch.export.export(
        bake_tables(decoder).eval(),
        _example(inputs),
        dynamic_shapes=dynamic,
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,  # which `prove_sizes` proves
    )
    return _program(Role.DECODER, prove_sizes(exported), inputs=inputs, contract=contract)


def _decoder_inputs(
    features: Features, contract: GraphContract, shape: tuple[int, int] | tuple[str, str]
) -> tuple[TensorSpec, ...]:
    shapes = {spec.name: spec.shape for spec in features}
    sides = (4 * int(side) for side in shapes[contract.features[0]][2:])
    shapes |= {
        "point_coords": (*shape, contract.axes),
        "point_labels": shape,
        "mask_input": (1, 1, *sides),
        "has_mask_input": (1,),
    }
    return tuple(_float32(name, shapes[name]) for name in contract.inputs(Role.DECODER))


def _float32(name: str, shape: tuple[int | str, ...]) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=shape)


def _example(inputs: tuple[TensorSpec, ...]) -> tuple[Tensor, ...]:
    """Zeros, since capture depends on shapes only."""
    return tuple(
        torch.zeros([_EXAMPLE[d] if isinstance(d, str) else d for d in spec.shape])
        for spec in inputs
    )


def _program(
    role: Role,
    exported: ExportedProgram,
    *,
    inputs: tuple[TensorSpec, ...],
    contract: GraphContract,
) -> Program:
    outputs = contract.outputs(role)
    names = exported.graph_signature.user_inputs
    wanted = tuple(spec.name for spec in inputs)
    if names != wanted:
        raise GraphRejected(
            f"The {role}'s forward() takes {', '.join(map(str, names))}.",
            expected=", ".join(wanted),
        )
    shapes = _output_shapes(exported, inputs)
    if len(shapes) != len(outputs):
        raise GraphRejected(
            f"The {role} returns {len(shapes)} tensors.", expected=", ".join(outputs)
        )
    specs = tuple(_float32(n, s) for n, s in zip(outputs, shapes, strict=True))
    return Program(role=role, exported=exported, inputs=inputs, outputs=specs)


def _output_shapes(
    exported: ExportedProgram, inputs: tuple[TensorSpec, ...]
) -> list[tuple[int | str, ...]]:
    """Shapes of the results, with the contract's names in place of torch's symbols."""
    nodes = {node.name: node for node in exported.graph.nodes}
    names = {
        str(size): dim
        for spec in inputs
        for size, dim in zip(nodes[spec.name].meta["val"].shape, spec.shape, strict=True)
    }
    return [
        tuple(names.get(str(size)) or int(size) for size in nodes[str(name)].meta["val"].shape)
        for name in exported.graph_signature.user_outputs
    ]
