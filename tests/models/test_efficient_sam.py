"""EfficientSAM: its prompts, the positions in its tokens, its baked position table."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
from torch import nn  # noqa: E402

from edgekit.models.encoders.plain_vit import PlainVitEncoder, PlainVitSize  # noqa: E402
from edgekit.models.sam.efficient_sam_decoder import (  # noqa: E402
    EfficientSamDecoder,
    EfficientSamPromptEncoder,
    PositionalBlock,
)
from edgekit.models.sam.transformer import TokenMlp  # noqa: E402
from edgekit.records import Label  # noqa: E402

FRAME = 64


@pytest.fixture(scope="module")
def decoder() -> nn.Module:
    torch.manual_seed(0)
    return EfficientSamDecoder(frame=FRAME, grid=FRAME // 16).eval()


def test_a_background_point_is_a_bare_position_and_padding_has_a_position_too() -> None:
    encoder = EfficientSamPromptEncoder(dim=8)
    coords = torch.tensor([[[3.0, 5.0]] * 4])
    labels = torch.tensor([[Label.BACKGROUND, Label.PADDING, Label.FOREGROUND, Label.EMPTY]])
    with torch.no_grad():
        tokens = encoder.points(coords, labels.float())[0]
        place = encoder.encode_coords(coords)[0, 0]
    assert torch.equal(tokens[0], place)
    assert torch.allclose(tokens[1], place + encoder.invalid_points.weight[0])
    assert torch.allclose(tokens[2], place + encoder.point_embeddings.weight[0])
    assert torch.equal(tokens[3], place)


def test_every_block_keeps_a_residual_and_later_ones_the_positions() -> None:
    tokens, places = torch.randn(1, 3, 16), torch.randn(1, 3, 16)
    for first, kept in ((True, tokens), (False, tokens + places)):
        block = PositionalBlock(16, heads=2, mlp=TokenMlp(16, 16), first=first)
        nn.init.zeros_(block.self_attn.out_proj.weight)
        nn.init.zeros_(block.self_attn.out_proj.bias)
        mixed = block.self_attend(tokens, places, torch.zeros(1, 1, 1, 3))
        assert torch.equal(mixed, kept)


def test_empty_slots_have_no_influence_and_a_batch_equals_single_calls(decoder: nn.Module) -> None:
    image = torch.randn(1, 256, FRAME // 16, FRAME // 16)
    coords = torch.rand(3, 6, 2) * FRAME
    labels = torch.tensor([[1.0, 1, -1, -1, -1, -1], [2, 3, -1, -1, -1, -1], [1, 2, 3, -1, -1, -1]])
    slots = torch.cat([labels, torch.full((3, 2), float(Label.EMPTY))], dim=1)
    places = torch.cat([coords, torch.rand(3, 2, 2) * FRAME], dim=1)
    with torch.no_grad():
        masks, scores = decoder(image, places, slots)
        assert masks.shape == (3, 4, FRAME // 4, FRAME // 4)
        for i in range(3):
            alone, score = decoder(image, coords[i : i + 1], labels[i : i + 1])
            assert torch.allclose(masks[i], alone[0], atol=1e-4)
            assert torch.allclose(scores[i], score[0], atol=1e-5)


@pytest.mark.slow
def test_baked_positions_change_nothing_and_leave_no_interpolation() -> None:
    encoder = PlainVitEncoder(PlainVitSize(width=12, heads=3), frame=FRAME).eval()
    nn.init.normal_(encoder.pos_embed)
    baked = copy.deepcopy(encoder)
    baked.bake()
    image = torch.randn(1, 3, FRAME, FRAME)
    with torch.no_grad():
        assert torch.equal(baked(image), encoder(image))
    program = torch.export.export(baked, (image,), strict=False)
    assert not [node for node in program.graph.nodes if "bicubic" in str(node.target)]
    values = (node.meta.get("val") for node in program.graph.nodes)
    assert max(value.dim() for value in values if isinstance(value, torch.Tensor)) == 4
