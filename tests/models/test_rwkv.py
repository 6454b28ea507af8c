"""RWKV-SAM's blocks: the weighted means against their sums, and the encoder's maps."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from edgekit.models.encoders.rwkv import CHUNKS, SpatialMix, Wkv, neighbours  # noqa: E402
from edgekit.models.encoders.rwkv_sam import PooledShortcut, RwkvSamEncoder  # noqa: E402
from edgekit.program.passes.bake_tables import bake_tables  # noqa: E402

LENGTH, CHANNELS = 3, 4
TOKENS = CHUNKS * LENGTH


def means(decay: Tensor, bonus: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The kernel's sums, in float64 and over all pairs of the tokens [TOKENS, CHANNELS]."""
    decay, bonus, k, v = (tensor.double() for tensor in (decay, bonus, k, v))
    place = torch.arange(TOKENS)
    steps = ((place[:, None] - place).abs() - 1).double()
    weights = torch.exp(k - k.amax(dim=0))
    pairs = torch.exp(-steps[:, :, None] * decay)  # [t, i, C]
    earlier, later = (place < place[:, None])[:, :, None], (place > place[:, None])[:, :, None]
    start, late = place // LENGTH * LENGTH, 1 - torch.exp(-decay)
    moved = (place - start).double()[:, None] * decay

    def summed(x: Tensor) -> Tensor:
        past, future = ((pairs * part * x).sum(1) for part in (earlier, later))
        past = past - torch.exp(-moved) * late * past[start]
        future = future - torch.exp(moved) * late * future[start]
        return past + torch.exp(bonus) * x + future

    return summed(weights * v) / summed(weights)


@pytest.mark.parametrize("spread", [1.0, 100.0], ids=["near keys", "far keys"])
@pytest.mark.parametrize("whole", [-60.0, 0.5, 60.0])
def test_means_equal_the_kernels_sums_in_float32(whole: float, spread: float) -> None:
    torch.manual_seed(0)
    decay = whole / TOKENS * (1 + torch.rand(CHANNELS)) / 2
    bonus = torch.randn(CHANNELS)
    k, v = spread * torch.randn(TOKENS, CHANNELS), torch.randn(TOKENS, CHANNELS)
    ours = Wkv(decay, bonus, tokens=TOKENS)(k[None], v[None])[0]
    gap = (ours - means(decay, bonus, k, v)).abs().max()
    assert gap <= 1e-4 * v.abs().max()


def test_photos_of_a_batch_do_not_mix() -> None:
    wkv = Wkv(torch.full((CHANNELS,), 0.1), torch.zeros(CHANNELS), tokens=TOKENS)
    k, v = torch.randn(2, 2, TOKENS, CHANNELS)
    assert torch.allclose(wkv(k, v)[1:], wkv(k[1:], v[1:]), atol=1e-6)


def test_each_quarter_of_the_channels_takes_another_neighbour() -> None:
    x = torch.arange(1.0, 7.0).reshape(1, 2, 3, 1).expand(-1, -1, -1, 4)
    left, right, above, below = neighbours(x)[0].unbind(-1)
    assert left.tolist() == [[0, 1, 2], [0, 4, 5]]
    assert right.tolist() == [[2, 3, 0], [5, 6, 0]]
    assert above.tolist() == [[0, 0, 0], [1, 2, 3]]
    assert below.tolist() == [[4, 5, 6], [0, 0, 0]]


def test_a_pooled_shortcut_leaves_the_padding_out_of_its_means() -> None:
    x = torch.randn(1, 5, 8, 6)
    expected = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
    assert torch.allclose(PooledShortcut(5, 5)(x), expected, atol=1e-6)


def test_baked_decays_change_nothing() -> None:
    torch.manual_seed(0)
    mix = SpatialMix(8, tokens=64).eval()
    for parameter in mix.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 8, 8, 8)
    with torch.no_grad():
        assert torch.equal(bake_tables(mix)(x), mix(x))


def test_the_encoder_gives_features_at_both_resolutions() -> None:
    encoder = RwkvSamEncoder(grid=8).eval()
    with torch.no_grad():
        embeddings, details = encoder(torch.randn(1, 3, 128, 128))
    assert embeddings.shape == (1, 256, 8, 8)
    assert details.shape == (1, 64, 32, 32)
