"""The form that every compiler takes, on the graphs of every family.

Rank 4 is LiteRT's most inside attention and windows, and below Core ML's 5; no edge compiler has a
bicubic resize or einsum. A model of each kind of encoder, or with EDGEKIT_ALL_MODELS=1 all of them.
Captured on the meta device: shapes without numbers, so ViT-H takes no memory.
"""

from __future__ import annotations

import os

import pytest

from edgekit.models import registry

MAX_RANK = 4
UNWANTED = ("bicubic", "einsum", "roll", "repeat_interleave", "index.Tensor")


EACH_KIND = (
    "nanosam", "mobilesam", "sam_vit_b", "edgesam", "efficientvit_sam_l0", "efficientsam_ti",
    "hqsam_vit_tiny", "sam2.1_hiera_t", "edgetam", "efficienttam_ti_512x512", "fastsam_s",
)  # fmt: skip


def _names() -> tuple[str, ...]:
    everything = os.environ.get("EDGEKIT_ALL_MODELS") == "1"
    return tuple(row.name for row in registry.models()) if everything else EACH_KIND


@pytest.mark.slow
@pytest.mark.parametrize("name", _names())
def test_ranks_and_operators_are_those_that_every_compiler_has(name: str) -> None:
    import torch

    from edgekit.graph.capture import capture_decoder, capture_encoder
    from edgekit.models.checkpoints.fit import build
    from edgekit.precision.plan import plannable

    row = registry.model(name)
    frame = row.client.preprocessing.frame
    with torch.device("meta"), torch.no_grad():
        encoder, decoder = build(row)
        programs = [capture_encoder(encoder.eval(), frame=frame, contract=row.graph)]
        if decoder is not None:
            features = programs[0].outputs
            programs.append(capture_decoder(decoder.eval(), features=features, contract=row.graph))
    for program in programs:
        nodes = program.exported.graph.nodes
        values = {node.name: node.meta.get("val") for node in nodes}
        ranks = {name: v.dim() for name, v in values.items() if isinstance(v, torch.Tensor)}
        assert not {node for node, rank in ranks.items() if rank > MAX_RANK}
        assert all(isinstance(values[node.name], torch.Tensor) for node in plannable(program))
        called = {str(node.target) for node in nodes if node.op == "call_function"}
        assert not {op for op in called if any(word in op for word in UNWANTED)}
