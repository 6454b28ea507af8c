"""SAM-Lightening's attention against its definition, and each photo apart from the others."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
from torch import Tensor  # noqa: E402

from edgekit.models.encoders.dilated_vit import DilatedAttention, DilatedBlock  # noqa: E402

WIDTH, HEADS, TOKENS = 12, 6, 4


def attention(windows: int) -> DilatedAttention:
    torch.manual_seed(0)
    return DilatedAttention(WIDTH, heads=HEADS, windows=windows).eval()


def by_definition(module: DilatedAttention, x: Tensor) -> Tensor:
    """One query at a time: it sees the tokens at its place of all windows [windows, tokens, C]."""
    result = module.proj.bias.expand_as(x).clone()
    for place in range(0, TOKENS, 2):
        qkv = module.multihead_attn.Wqkv(x[:, place])
        q, k, v = qkv.reshape(-1, 3, HEADS // 2, 2 * WIDTH // HEADS).unbind(1)
        for window in range(len(x)):
            scores = (q[window] * k).sum(-1) / (WIDTH / HEADS) ** 0.5  # [windows, heads]
            mixed = (torch.softmax(scores, dim=0).unsqueeze(-1) * v).sum(0).flatten()
            result[window, place] = module.proj(module.multihead_attn.out_proj(mixed))
    return result


@pytest.mark.parametrize("windows", [1, 3])
def test_attention_equals_its_definition(windows: int) -> None:
    module, x = attention(windows), 3 * torch.randn(windows, TOKENS, WIDTH)
    with torch.no_grad():
        assert torch.allclose(module(x), by_definition(module, x), atol=1e-5)


@pytest.mark.parametrize("windows", [1, 3])
def test_photos_of_a_batch_do_not_mix(windows: int) -> None:
    module, photos = attention(windows), torch.randn(2, windows, TOKENS, WIDTH)
    with torch.no_grad():
        together = module(photos.flatten(0, 1)).reshape(photos.shape)
        alone = torch.stack([module(photo) for photo in photos])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize(("window", "windows"), [(None, 1), (14, 4)])
def test_a_block_attends_over_the_windows_of_its_map(window: int | None, windows: int) -> None:
    assert DilatedBlock(WIDTH, window=window, grid=16).attn.windows == windows
