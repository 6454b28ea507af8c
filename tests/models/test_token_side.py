"""The exported decoder equals the plain one and projects the image once for all prompts."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from edgekit.models.sam import SamDecoder
from edgekit.models.sam.token_side import TokenSideDecoder
from edgekit.program.capture import capture_decoder, image_embeddings
from edgekit.records import Label

GRID = 4
LABELS = (1.0, 0.0, 2.0, 3.0, -1.0, -2.0, 1.0)


@pytest.fixture(scope="module")
def decoder() -> SamDecoder:
    """Random weights and biases in float64, so that a missing or doubled term shows."""
    decoder = SamDecoder(frame=16 * GRID, grid=GRID).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in decoder.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 4
        parameter.data.normal_(0, fan_in**-0.5, generator=generator)
    decoder.prompt_encoder.bake()  # positions are computed in float32 only
    return decoder.double()


def _inputs(prompts: int, points: int, *, masks: bool) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(prompts * 10 + points)
    labels = torch.tensor(LABELS).repeat(prompts)[: prompts * points].reshape(prompts, points)
    has = torch.arange(prompts) % 2 if masks else torch.zeros(prompts)
    random = (
        torch.randn(1, 256, GRID, GRID, generator=generator),
        16 * GRID * torch.rand(prompts, points, 2, generator=generator),
        labels,
        8 * torch.randn(prompts, 1, 4 * GRID, 4 * GRID, generator=generator),
        has,
    )
    return tuple(tensor.double() for tensor in random)


@pytest.mark.parametrize("masks", [False, True], ids=["no masks", "some masks"])
@pytest.mark.parametrize(("prompts", "points"), [(1, 1), (2, 2), (5, 7)])
def test_the_exported_form_equals_the_plain_decoder(
    decoder: SamDecoder, prompts: int, points: int, masks: bool
) -> None:
    inputs = _inputs(prompts, points, masks=masks)
    with torch.no_grad():
        expected, got = decoder(*inputs), decoder.exported_form()(*inputs)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-11 * theirs.abs().max()


def test_mask_prompts_have_influence(decoder: SamDecoder) -> None:
    """Otherwise the comparison above would not test them."""
    image, coords, labels, mask, has = _inputs(2, 2, masks=True)
    with torch.no_grad():
        with_mask, _ = decoder.exported_form()(image, coords, labels, mask, has)
        without, _ = decoder.exported_form()(image, coords, labels, mask, 0 * has)
    assert (with_mask - without)[1].abs().max() > 1e-2 * without.abs().max()


def test_empty_slots_have_no_influence(decoder: SamDecoder) -> None:
    image, coords, labels, mask, has = _inputs(3, 2, masks=True)
    labels[:] = torch.tensor([1.0, Label.EMPTY])
    with torch.no_grad():
        padded = decoder.exported_form()(image, coords, labels, mask, has)
        bare = decoder.exported_form()(image, coords[:, :1], labels[:, :1], mask, has)
    for ours, theirs in zip(padded, bare, strict=True):
        assert (ours - theirs).abs().max() <= 1e-11 * theirs.abs().max()


@pytest.mark.slow
def test_no_linear_layer_projects_the_image_once_per_prompt(decoder: SamDecoder) -> None:
    """Linear layers see tokens [prompts, T, .] or the image [1, K, .], never [prompts, K, .]."""
    assert not _image_projections(decoder)["per prompt"]
    assert _image_projections(decoder)["shared"]

    class Plain(SamDecoder):
        """A subclass, which is exported unchanged."""

    plain = Plain(frame=16 * GRID, grid=GRID)
    assert len(_image_projections(plain)["per prompt"]) == 10


def _image_projections(decoder: nn.Module) -> dict[str, list[str]]:
    program = capture_decoder(
        copy.deepcopy(decoder).float(), features=image_embeddings(256, GRID, GRID)
    )
    projections: dict[str, list[str]] = {"shared": [], "per prompt": []}
    for node in program.exported.graph.nodes:
        if node.target is torch.ops.aten.linear.default:
            batch, count, *_ = (*node.args[0].meta["val"].shape, 0)
            if count == GRID * GRID:
                projections["shared" if batch == 1 else "per prompt"].append(node.name)
    return projections


def test_subclasses_are_exported_unchanged(decoder: SamDecoder) -> None:
    class Other(SamDecoder):
        """A subclass, which may override anything."""

    other = Other(frame=16 * GRID, grid=GRID)
    assert other.exported_form() is other
    rewritten = decoder.exported_form()
    assert isinstance(rewritten, TokenSideDecoder)
    assert rewritten.state_dict().keys() == decoder.state_dict().keys()
