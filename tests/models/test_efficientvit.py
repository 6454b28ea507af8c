"""EfficientViT-SAM's encoders: linear attention, the neck, and the published sizes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
from torch import nn  # noqa: E402

from edgekit.models.encoders.efficientvit import (  # noqa: E402
    HEAD_DIM,
    SIZES,
    EfficientVitEncoder,
    EfficientVitSize,
    LinearAttention,
)

TOY = EfficientVitSize(
    frame=128,
    widths=(8, 8, 16, 16, 32),
    depths=(1, 1, 1, 1, 1),
    kinds=("fused", "fused", "inverted", "attention"),
    kernel=5,
    neck_depth=1,
    neck_expansion=1,
)


def test_linear_attention_equals_its_definition() -> None:
    attention = LinearAttention(2 * HEAD_DIM, kernel=3).eval()
    attention.proj = nn.Identity()
    x = torch.randn(1, 2 * HEAD_DIM, 3, 4)
    with torch.no_grad():
        qkv = attention.qkv(x)
        both = torch.cat([qkv, attention.aggreg[0](qkv)], dim=1)
        expected = []
        for head in both.flatten(2)[0].split(3 * HEAD_DIM):
            q, k, v = head.split(HEAD_DIM)
            weight = q.relu().t() @ k.relu()  # one row per query
            expected.append((weight / weight.sum(1, keepdim=True)) @ v.t())
        result = attention(x).flatten(2)[0]
    assert torch.allclose(result, torch.cat(expected, dim=1).t(), atol=1e-5)


def test_the_neck_returns_the_finest_scale() -> None:
    encoder = EfficientVitEncoder(TOY).eval()
    with torch.no_grad():
        embeddings = encoder(torch.randn(1, 3, TOY.frame, TOY.frame))
    assert embeddings.shape == (1, 256, TOY.frame // 8, TOY.frame // 8)


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("l0", 30_728_224),
        ("l1", 43_585_568),
        ("l2", 57_264_032),
        ("xl0", 112_893_344),
        ("xl1", 199_281_568),
    ],
)
def test_parameters_and_epsilons_of_the_published_variants(size: str, parameters: int) -> None:
    with torch.device("meta"):
        encoder = EfficientVitEncoder(SIZES[size])
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-6}
