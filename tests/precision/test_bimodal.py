"""Signs in the weights of queries and keys: what they change, and which keys get them."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("scipy", reason="the techniques need the extra `techniques`")

from edgekit.models.sam.decoder import SamDecoder
from edgekit.models.sam.transformer import Attention
from edgekit.precision.techniques.bimodal import (
    LOOKS,
    channel_signs,
    fold_signs,
    integrate_bimodal,
    is_bimodal,
)
from edgekit.program.passes.exported_form import exported_forms
from edgekit.records import GraphContract

GRID = 8
PROMPT = (
    torch.tensor([[[20.0, 30.0], [90.0, 70.0]]]),
    torch.tensor([[2.0, 3.0]]),
    torch.zeros(1, 1, 4 * GRID, 4 * GRID),
    torch.zeros(1),
)


@pytest.fixture
def decoder() -> SamDecoder:
    """SAM's decoder on a small grid, with one attention whose keys have large biases."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = SamDecoder(frame=16 * GRID, grid=GRID).eval()
        keys = made.mask_decoder.transformer.layers[0].cross_attn_token_to_image.k_proj
        with torch.no_grad():
            keys.bias.copy_(8 * torch.randn_like(keys.bias).sign())
    return made


@pytest.fixture
def embedding() -> torch.Tensor:
    return torch.randn(1, 256, GRID, GRID, generator=torch.Generator().manual_seed(0))


def test_signs_leave_an_attention_as_it_is() -> None:
    noise = torch.Generator().manual_seed(0)
    attention = Attention(256, heads=8, downsample=2).eval()
    tokens, image = (torch.randn(2, count, 256, generator=noise) for count in (7, 64))
    signs = torch.randn(128, generator=noise).sign()
    with torch.no_grad():
        keys = attention.k_proj(image)
        before = attention(tokens, image, image)
        fold_signs(attention, signs)
        after = attention(tokens, image, image)
    assert torch.equal(attention.k_proj(image), keys * signs)
    assert torch.equal(before, after)  # a sign is exact, and each score sums the same products


def test_only_bimodal_keys_get_signs_and_no_result_changes(decoder, embedding) -> None:
    with torch.no_grad():
        before = decoder(embedding, *PROMPT)
        folded = integrate_bimodal(decoder, lambda: decoder(embedding, *PROMPT))
        after = decoder(embedding, *PROMPT)
    assert folded == ("mask_decoder.transformer.layers.0.cross_attn_token_to_image",)
    bias = decoder.get_submodule(folded[0]).k_proj.bias
    assert bias.min() > 0
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_the_exported_form_takes_the_signs_over(decoder, embedding) -> None:
    """Its keys are maps of the encoder's, so both graphs change, and the masks do not."""
    with torch.no_grad():
        plain = decoder(embedding, *PROMPT)
        integrate_bimodal(decoder, lambda: decoder(embedding, *PROMPT))
        forms = exported_forms(torch.nn.Identity(), decoder, GraphContract())
        maps = forms.encoder(embedding)
        masks = forms.decoder(*maps, *PROMPT)
    for ours, theirs in zip(masks, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_every_attention_of_tokens_to_the_image_is_examined(decoder, embedding) -> None:
    with torch.no_grad():
        for name, module in decoder.named_modules():
            if name.rpartition(".")[2] in LOOKS:
                module.k_proj.bias.copy_(8 * torch.randn_like(module.k_proj.bias).sign())
        folded = integrate_bimodal(decoder, lambda: decoder(embedding, *PROMPT))
    assert [name.rpartition(".")[2] for name in folded] == [LOOKS[0], LOOKS[0], LOOKS[1]]


@pytest.mark.parametrize(
    ("centres", "bimodal"), [((-3.0, 3.0), True), ((0.0,), False), ((-6.0, 0.0, 6.0), False)]
)
def test_two_peaks_are_bimodal(centres: tuple[float, ...], bimodal: bool) -> None:
    noise = torch.Generator().manual_seed(0)
    levels = torch.tensor(centres).repeat(32)
    assert is_bimodal(levels + 0.5 * torch.randn(64, len(levels), generator=noise)) is bimodal


def test_a_mean_of_zero_gets_a_plus() -> None:
    keys = torch.tensor([[1.0, -1.0, 2.0], [-1.0, -2.0, 3.0]])
    assert channel_signs(keys).tolist() == [1, -1, 1]
