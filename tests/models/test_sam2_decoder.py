"""SAM 2's decoder: its exported form, high-resolution features and object score."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.models.sam.sam2_decoder import ObjectDecoder, Sam2Decoder
from tests.models.exported import as_exported

GRID = 4


def randomised(decoder: nn.Module) -> nn.Module:
    """Random weights and biases in float64, so that a missing or doubled term shows."""
    generator = torch.Generator().manual_seed(0)
    for parameter in decoder.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
        parameter.data.normal_(0, fan_in**-0.5, generator=generator)
    decoder.sam_prompt_encoder.bake()  # positions are computed in float32 only
    return decoder.eval().double()


@pytest.fixture(scope="module")
def decoder() -> nn.Module:
    return randomised(Sam2Decoder(frame=16 * GRID))


def features() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((256, GRID), (32, 4 * GRID), (64, 2 * GRID))
    return tuple(
        torch.randn(1, channels, side, side, generator=generator, dtype=torch.float64)
        for channels, side in shapes
    )


def prompts() -> tuple[torch.Tensor, ...]:
    """Three prompts with one mask: a box, points with an empty slot, a point."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.tensor([[2.0, 3.0, -1.0], [1.0, 0.0, -2.0], [1.0, -1.0, -2.0]])
    random = (
        16 * GRID * torch.rand(3, 3, 2, generator=generator),
        labels,
        8 * torch.randn(1, 1, 4 * GRID, 4 * GRID, generator=generator),
        torch.ones(1),
    )
    return tuple(tensor.double() for tensor in random)


def assert_equal_up_to_rounding(ours: tuple, theirs: tuple) -> None:
    for our, their in zip(ours, theirs, strict=True):
        assert our.shape == their.shape
        assert (our - their).abs().max() <= 1e-11 * their.abs().max()


def test_exported_form_equals_the_plain_decoder(decoder: nn.Module) -> None:
    inputs = (*features(), *prompts())
    with torch.no_grad():
        plain, exported = decoder(*inputs), as_exported(decoder, *inputs)
    assert_equal_up_to_rounding(exported, plain)
    masks, iou, objects = plain
    assert masks.shape == (3, 4, 4 * GRID, 4 * GRID)
    assert iou.shape == (3, 4)
    assert objects.shape == (3, 1)
    assert ((iou > 0) & (iou < 1)).all()


def test_the_exported_form_equals_the_decoder_without_high_resolution_features() -> None:
    decoder = randomised(ObjectDecoder(frame=16 * GRID))
    inputs = (features()[0], *prompts())
    with torch.no_grad():
        assert_equal_up_to_rounding(as_exported(decoder, *inputs), decoder(*inputs))


@pytest.mark.parametrize("which", [1, 2])
def test_each_high_resolution_map_is_added_at_its_place(decoder: nn.Module, which: int) -> None:
    """A change in one corner of a map changes that corner of the masks, and nothing else."""
    changed = [tensor.clone() for tensor in features()]
    changed[which][:, :1, -1:, -1:] += 1
    with torch.no_grad():
        before, after = decoder(*features(), *prompts()), decoder(*changed, *prompts())
    reach = which  # mask pixels per pixel of the map
    difference = (after[0] - before[0]).abs()
    assert difference[..., -reach:, -reach:].min() > 0
    assert difference[..., :-reach, :].max() == 0
    assert torch.equal(after[1], before[1])


def test_the_object_score_depends_on_the_object_token(decoder: nn.Module) -> None:
    with torch.no_grad():
        before = decoder(*features(), *prompts())[2]
        decoder.sam_mask_decoder.obj_score_token.weight.data += 1
        after = decoder(*features(), *prompts())[2]
        decoder.sam_mask_decoder.obj_score_token.weight.data -= 1
    assert (after - before).abs().min() > 1e-6
