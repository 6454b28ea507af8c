"""SAM's ViT: attention against its definition, and sizes read from tensors."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from edgekit.errors import CheckpointMismatch
from edgekit.models.encoders import sam_vit
from edgekit.models.encoders.sam_vit import (
    RelativeAttention,
    SamVitEncoder,
    VitBlockSize,
    VitSize,
    split,
    uniform,
)
from edgekit.models.encoders.sam_vit_widths import size_from_shapes
from edgekit.program.passes.bake_tables import bake_tables

BLOCK = VitBlockSize(heads=2, head_dim=3, value_dim=3, hidden=5)
# Sixteen tokens a side, so that windows of 14 are padded; a global block in the middle and at the
# end.
SMALL = uniform(width=6, depth=4, heads=2, hidden=5, global_blocks=(1, 3))
SMALL = replace(SMALL, grid=16)
UNEVEN = VitSize(
    width=6,
    grid=16,
    global_blocks=(1,),
    blocks=(
        VitBlockSize(heads=2, head_dim=3, value_dim=4, hidden=5, split=True),
        VitBlockSize(heads=2, head_dim=2, value_dim=1, hidden=7, split=True),
    ),
)


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for tensor in module.parameters():
        torch.nn.init.normal_(tensor, std=0.5)
    return module.eval()


def by_definition(attention: RelativeAttention, x: torch.Tensor) -> torch.Tensor:
    """The paper's sum, computed one pair of tokens at a time."""
    size, side = attention.size, attention.side
    q, k, v = (
        t.unflatten(-1, (size.heads, size.head_dim))[0] for t in attention.qkv(x).chunk(3, dim=-1)
    )
    rows = []
    for token in range(side**2):
        y, column = divmod(token, side)
        scores = torch.stack(
            [
                (q[token] * k[other]).sum(-1) / size.head_dim**0.5
                + q[token] @ attention.rel_pos_h[y - other // side + side - 1]
                + q[token] @ attention.rel_pos_w[column - other % side + side - 1]
                for other in range(side**2)
            ]
        )
        rows.append(torch.einsum("kh,khd->hd", scores.softmax(0), v).flatten())
    return attention.proj(torch.stack(rows))[None]


@torch.no_grad()
def test_attention_equals_its_definition() -> None:
    attention = randomised(RelativeAttention(6, BLOCK, side=3))
    x = torch.randn(1, 9, 6)
    torch.testing.assert_close(attention(x), by_definition(attention, x))


@pytest.mark.slow
@torch.no_grad()
def test_baking_changes_nothing_and_leaves_no_gather() -> None:
    encoder = randomised(SamVitEncoder(SMALL))
    image = torch.randn(1, 3, 256, 256)
    baked = bake_tables(encoder)
    torch.testing.assert_close(baked(image), encoder(image))
    program = torch.export.export(baked, (image,), strict=False)
    nodes = [n for n in program.graph.nodes if n.op == "call_function"]
    targets = {str(node.target) for node in nodes}
    assert not [t for t in targets if "index" in t or "einsum" in t]
    values = [node.meta["val"] for node in nodes]
    assert max(v.ndim for v in values if isinstance(v, torch.Tensor)) <= 4
    assert min(len(v) for v in values if not isinstance(v, torch.Tensor)) > 1, (
        "litert-torch cannot convert a split into one part"
    )


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_attention_by_rows_equals_attention_at_once(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = randomised(RelativeAttention(6, BLOCK, side=5))
    x = torch.randn(2, 25, 6)
    at_once = attention(x)
    monkeypatch.setattr(sam_vit, "MAX_ROWS", rows)
    torch.testing.assert_close(attention(x), at_once)


@torch.no_grad()
def test_separate_projections_equal_the_joint_one() -> None:
    joint = randomised(RelativeAttention(6, BLOCK, side=3))
    apart = RelativeAttention(6, replace(BLOCK, split=True), side=3)
    state = joint.state_dict()
    for kind in ("weight", "bias"):
        for name, part in zip("qkv", state.pop(f"qkv.{kind}").chunk(3), strict=True):
            state[f"{name}.{kind}"] = part
    apart.load_state_dict(state)
    x = torch.randn(2, 9, 6)
    torch.testing.assert_close(apart(x), joint(x))


@torch.no_grad()
def test_the_early_feature_is_the_first_global_blocks_output() -> None:
    encoder = randomised(SamVitEncoder(SMALL))
    image = torch.randn(1, 3, 256, 256)
    embeddings, early = encoder.embed_with_early_map(image)
    torch.testing.assert_close(embeddings, encoder(image))
    assert embeddings.shape == (1, 256, 16, 16)
    cut = copy.deepcopy(encoder)
    cut.blocks = cut.blocks[:2]
    torch.testing.assert_close(cut.embed_with_early_map(image)[1], early)
    x = early.permute(0, 2, 3, 1)
    for block in encoder.blocks[2:]:
        x = block(x)
    torch.testing.assert_close(encoder.neck(x.permute(0, 3, 1, 2)), embeddings)


def shapes(encoder: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {f"image_encoder.{k}": tuple(t.shape) for k, t in encoder.state_dict().items()}


@pytest.mark.parametrize("size", [SMALL, split(SMALL), UNEVEN], ids=["joint", "split", "uneven"])
def test_a_size_is_read_from_its_tensors(size: VitSize) -> None:
    assert size_from_shapes(shapes(SamVitEncoder(size)), positions=16) == size


@pytest.mark.parametrize("missing", ["pos_embed", "blocks.1.attn.rel_pos_h", "blocks.0.mlp.lin1"])
def test_incomplete_tensors_are_refused(missing: str) -> None:
    known = shapes(SamVitEncoder(SMALL))
    cut = {name: shape for name, shape in known.items() if missing not in name}
    with pytest.raises(CheckpointMismatch, match="widths of a SAM ViT cannot be read"):
        size_from_shapes(cut, positions=16)
