"""SAM-HQ: the fine mask in both forms of the decoder, and the encoder's features for it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
from torch import Tensor, nn  # noqa: E402

from edgekit.models.encoders.hq import HqEncoder, PhotoFeatures  # noqa: E402
from edgekit.models.sam.hq_decoder import HqDecoder, HqTokenSide  # noqa: E402
from edgekit.program.passes.bake_tables import bake_tables  # noqa: E402
from edgekit.program.passes.exported_form import exported_form  # noqa: E402
from edgekit.records import Label  # noqa: E402
from tests.models.exported import as_exported  # noqa: E402

GRID = 8
SIDE = 4 * GRID


@pytest.fixture(scope="module")
def decoder() -> nn.Module:
    torch.manual_seed(0)
    return HqDecoder(frame=16 * GRID, grid=GRID).eval()


def arguments(prompts: int = 3) -> tuple[Tensor, ...]:
    """A photo's features and up to three prompts with a mask and empty slots."""
    torch.manual_seed(1)
    labels = torch.tensor([[2.0, 3, -2, -2], [1, 0, 1, -1], [1, -1, -2, -2]])[:prompts]
    return (
        torch.randn(1, 256, GRID, GRID),
        torch.randn(1, 32, SIDE, SIDE),
        torch.rand(prompts, 4, 2) * 16 * GRID,
        labels,
        torch.randn(1, 1, SIDE, SIDE),
        torch.ones(1),
    )


def test_the_exported_form_equals_the_plain_decoder(decoder: nn.Module) -> None:
    exported = exported_form(bake_tables(decoder))
    assert isinstance(exported, HqTokenSide)
    with torch.no_grad():
        plain, other = decoder(*arguments()), as_exported(bake_tables(decoder), *arguments())
    for ours, theirs in zip(other, plain, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))


def test_the_fine_mask_is_added_to_all_masks_and_has_the_best_score(decoder: nn.Module) -> None:
    with torch.no_grad():
        masks, scores = decoder(*arguments())
    assert masks.shape == (3, 5, SIDE, SIDE)
    assert torch.equal(scores[:, 4], scores[:, 1:4].max(dim=1).values)
    changed = list(arguments())
    changed[1] = changed[1] + torch.randn(1, 32, 1, 1)
    with torch.no_grad():
        difference = decoder(*changed)[0] - masks
    # hq_features change the fine mask only, and every mask has the fine mask added.
    assert torch.allclose(difference, difference[:, 4:].expand_as(difference), atol=1e-3)
    assert difference.abs().max() > 1e-2


def test_empty_slots_have_no_influence(decoder: nn.Module) -> None:
    full = arguments(prompts=1)
    assert (full[3][0, 2:] == Label.EMPTY).all()
    short = (*full[:2], full[2][:, :2], full[3][:, :2], *full[4:])
    with torch.no_grad():
        for ours, theirs in zip(decoder(*short), decoder(*full), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-4)


class Stub(nn.Module):
    """An encoder with constant maps."""

    def embed_with_early_map(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return image.new_ones(1, 256, 2, 2), image.new_ones(1, 5, 2, 2)


def test_the_encoder_computes_what_depends_on_the_photo_alone() -> None:
    encoder = HqEncoder(Stub(), early_width=5).eval()
    assert {name.split(".")[1] for name in encoder.state_dict()} == {
        "compress_vit_feat",
        "embedding_encoder",
    }
    with torch.no_grad():
        embeddings, features = encoder(torch.zeros(1, 3, 8, 8))
        early = torch.ones(1, 5, 2, 2)
        expected = encoder.mask_decoder(embeddings, early)
        without = encoder.mask_decoder(embeddings, 0 * early)
    assert features.shape == (1, 32, 8, 8)
    assert torch.equal(features, expected)
    assert not torch.equal(features, without)
    assert isinstance(encoder.mask_decoder, PhotoFeatures)
