"""SAM 2's image encoder at a toy size: shapes, windows, baked positions."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from edgekit.models.encoders.fpn import FpnNeck
from edgekit.models.encoders.hiera import SIZES, Hiera, HieraSize
from edgekit.models.encoders.sam2 import Sam2Encoder

TOY = HieraSize(
    width=8,
    heads=1,
    depths=(1, 2, 2, 1),
    global_blocks=(4,),
    windows=(8, 4, 14, 7),
    background=3,
)
FRAME = 256


@pytest.fixture(scope="module")
def encoder() -> Sam2Encoder:
    torch.manual_seed(0)
    encoder = Sam2Encoder(
        Hiera(TOY, frame=FRAME), FpnNeck([TOY.width * 2**stage for stage in range(4)])
    )
    for parameter in encoder.parameters():
        parameter.data.normal_(0, 0.3)
    return encoder.eval()


def test_shapes_are_those_of_the_graph_contract(encoder: Sam2Encoder) -> None:
    with torch.no_grad():
        embeddings, fine, middle = encoder(torch.randn(1, 3, FRAME, FRAME))
    assert embeddings.shape == (1, 256, FRAME // 16, FRAME // 16)
    assert fine.shape == (1, 32, FRAME // 4, FRAME // 4)
    assert middle.shape == (1, 64, FRAME // 8, FRAME // 8)


def test_the_no_memory_embedding_is_in_the_graph(encoder: Sam2Encoder) -> None:
    image = torch.randn(1, 3, FRAME, FRAME)
    bare = copy.deepcopy(encoder)
    bare.no_mem_embed.data.zero_()
    with torch.no_grad():
        difference = encoder(image)[0] - bare(image)[0]
    expected = encoder.no_mem_embed.reshape(1, -1, 1, 1).expand_as(difference)
    assert torch.allclose(difference, expected, atol=1e-4)


@pytest.mark.slow
def test_baked_positions_leave_no_interpolation_and_change_nothing(encoder: Sam2Encoder) -> None:
    trunk = encoder.image_encoder.trunk
    baked = copy.deepcopy(trunk)
    baked.bake()
    assert torch.equal(baked.positions(), trunk.positions())
    program = torch.export.export(baked, (torch.zeros(1, 3, FRAME, FRAME),), strict=False)
    operators = {str(node.target) for node in program.graph.nodes}
    assert not [name for name in operators if "bicubic" in name or "tile" in name]
    values = (node.meta.get("val") for node in program.graph.nodes)
    ranks = {value.dim() for value in values if isinstance(value, torch.Tensor)}
    assert max(ranks) <= 4


def test_positions_are_a_resized_table_plus_a_tiled_one(encoder: Sam2Encoder) -> None:
    trunk = encoder.image_encoder.trunk
    frame = F.interpolate(trunk.pos_embed, size=(64, 64), mode="bicubic")
    placed = trunk.positions().permute(0, 3, 1, 2) - frame
    assert torch.allclose(placed[..., 8:16, 24:32], trunk.pos_embed_window, atol=1e-5)


@pytest.mark.parametrize(("name", "blocks"), [("t", 12), ("s", 16), ("bplus", 24), ("l", 48)])
def test_the_first_block_of_a_stage_has_the_window_of_the_stage_before(
    name: str, blocks: int
) -> None:
    size = SIZES[name]
    with torch.device("meta"):
        trunk = Hiera(size)
    assert len(trunk.blocks) == blocks
    assert tuple(i for i, b in enumerate(trunk.blocks) if b.window is None) == size.global_blocks
    firsts = [index + 1 for index in trunk.last_of_stage[:3]]
    assert [trunk.blocks[index].window for index in firsts] == list(size.windows[:3])
    assert [i for i, block in enumerate(trunk.blocks) if block.attn.pool] == firsts
