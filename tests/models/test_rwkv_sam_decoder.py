"""RWKV-SAM's decoder: both forms give the same mask, which the photo's features change."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
from torch import Tensor  # noqa: E402

from edgekit.models.sam.rwkv_sam_decoder import RwkvSamDecoder  # noqa: E402

GRID = 4
LABELS = [[1.0, -1.0, -2.0], [2.0, 3.0, 1.0]]


@pytest.fixture(scope="module")
def decoder() -> RwkvSamDecoder:
    """Random weights and biases in float64, so that a missing or doubled term shows."""
    decoder = RwkvSamDecoder(frame=16 * GRID, grid=GRID).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in decoder.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
        parameter.data.normal_(0, fan_in**-0.5, generator=generator)
    decoder.pe.bake()  # positions are computed in float32 only
    return decoder.double()


def arguments() -> tuple[Tensor, ...]:
    torch.manual_seed(1)
    features = torch.randn(1, 256, GRID, GRID), torch.randn(1, 64, 4 * GRID, 4 * GRID)
    prompts = 16 * GRID * torch.rand(2, 3, 2), torch.tensor(LABELS)
    return tuple(tensor.double() for tensor in (*features, *prompts))


def exported(decoder: RwkvSamDecoder, *inputs: Tensor) -> tuple[Tensor, ...]:
    form = decoder.exported_form()
    return form(*form.photo_side()(*inputs[:2]), *inputs[2:])


def test_the_exported_form_equals_the_plain_decoder(decoder: RwkvSamDecoder) -> None:
    with torch.no_grad():
        masks, scores = decoder(*arguments())
        other_masks, other_scores = exported(decoder, *arguments())
    assert masks.shape == other_masks.shape == (2, 1, 4 * GRID, 4 * GRID)
    assert scores.shape == (2, 1)
    assert (masks - other_masks).abs().max() <= 1e-11 * masks.abs().max()
    assert (scores - other_scores).abs().max() <= 1e-11 * scores.abs().max()


def test_the_photos_features_change_the_mask_and_not_the_score(decoder: RwkvSamDecoder) -> None:
    image, details, *prompts = arguments()
    with torch.no_grad():
        masks, scores = decoder(image, details, *prompts)
        others, same = decoder(image, 2 * details, *prompts)
    assert (masks - others).abs().max() > 0.01 * masks.abs().max()
    assert torch.equal(scores, same)


def test_empty_slots_have_no_influence(decoder: RwkvSamDecoder) -> None:
    image, details, coords, labels = arguments()
    with torch.no_grad():
        full = exported(decoder, image, details, coords[:1], labels[:1])
        short = exported(decoder, image, details, coords[:1, :2], labels[:1, :2])
    for ours, theirs in zip(short, full, strict=True):
        assert (ours - theirs).abs().max() <= 1e-11 * theirs.abs().max()
