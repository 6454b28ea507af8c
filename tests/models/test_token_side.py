"""The exported decoder equals the plain one, and forms no image per prompt."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from edgekit.models.sam import SamDecoder
from edgekit.models.sam.photo_side import PHOTO_MAPS
from edgekit.models.sam.token_side import TokenSideDecoder
from edgekit.precision.decide.plan import plannable
from edgekit.program.capture import Program, capture_decoder
from edgekit.program.work import macs_by_node
from edgekit.records import GraphContract, Label, TensorSpec
from tests.models.exported import as_exported, captured

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
    labels = (
        torch.tensor(LABELS).repeat(prompts * points)[: prompts * points].reshape(prompts, points)
    )
    has = torch.ones(1) if masks else torch.zeros(1)
    random = (
        torch.randn(1, 256, GRID, GRID, generator=generator),
        16 * GRID * torch.rand(prompts, points, 2, generator=generator),
        labels,
        8 * torch.randn(1, 1, 4 * GRID, 4 * GRID, generator=generator),
        has,
    )
    return tuple(tensor.double() for tensor in random)


@pytest.mark.parametrize("masks", [False, True], ids=["no mask", "a mask"])
@pytest.mark.parametrize(("prompts", "points"), [(1, 1), (2, 2), (5, 7), (2, 12), (2, 30)])
def test_the_exported_form_equals_the_plain_decoder(
    decoder: SamDecoder, prompts: int, points: int, masks: bool
) -> None:
    inputs = _inputs(prompts, points, masks=masks)
    with torch.no_grad():
        expected, got = decoder(*inputs), as_exported(decoder, *inputs)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-11 * theirs.abs().max()


def program_of(decoder: SamDecoder, *, slots: int | None = None) -> Program:
    """The decoder's program, for any number of prompts and points or for a fixed one."""
    form, shape = decoder.exported_form(), (1, 256, GRID, GRID)
    features = tuple(
        TensorSpec(name=name, dtype="float32", shape=tuple(part.shape))
        for name, part in zip(
            PHOTO_MAPS, form.photo_side()(torch.zeros(shape).double()), strict=True
        )
    )
    contract = GraphContract(features=PHOTO_MAPS)
    single = copy.deepcopy(form).float()
    return capture_decoder(single, features=features, slots=slots, contract=contract)


@pytest.fixture(scope="module")
def program(decoder: SamDecoder) -> Program:
    return program_of(decoder)


@pytest.fixture(scope="module")
def graph(program: Program) -> nn.Module:
    return program.exported.module()


@pytest.mark.parametrize("slots", [2, 16])
def test_one_plan_fits_the_graphs_of_fixed_shapes(
    decoder: SamDecoder, program: Program, slots: int
) -> None:
    """A precision plan is made for the program of any size, and names its nodes."""
    fixed = program_of(decoder, slots=slots)
    assert [node.name for node in plannable(fixed)] == [node.name for node in plannable(program)]


@pytest.mark.parametrize("points", [1, 11, 12, 13, 64])
def test_the_graph_computes_the_same_for_few_and_many_tokens(
    decoder: SamDecoder, graph: nn.Module, points: int
) -> None:
    """Beyond 12 points there are more tokens than rows, and their number is known at run time."""
    image, *prompts = _inputs(2, points, masks=True)
    with torch.no_grad():
        expected = decoder(image, *prompts)
        maps = decoder.exported_form().photo_side()(image)
        got = graph(*(part.float() for part in (*maps, *prompts)))
    for ours, theirs in zip(got, expected, strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max()


def test_mask_prompts_have_influence(decoder: SamDecoder) -> None:
    """Otherwise the comparison above would not test them."""
    image, coords, labels, mask, has = _inputs(2, 2, masks=True)
    with torch.no_grad():
        with_mask, _ = as_exported(decoder, image, coords, labels, mask, has)
        without, _ = as_exported(decoder, image, coords, labels, mask, 0 * has)
    assert (with_mask - without)[1].abs().max() > 1e-2 * without.abs().max()


def test_empty_slots_have_no_influence(decoder: SamDecoder) -> None:
    image, coords, labels, mask, has = _inputs(3, 2, masks=True)
    labels[:] = torch.tensor([1.0, Label.EMPTY])
    with torch.no_grad():
        padded = as_exported(decoder, image, coords, labels, mask, has)
        bare = as_exported(decoder, image, coords[:, :1], labels[:, :1], mask, has)
    for ours, theirs in zip(padded, bare, strict=True):
        assert (ours - theirs).abs().max() <= 1e-11 * theirs.abs().max()


@pytest.mark.slow
def test_a_box_takes_a_third_of_the_work() -> None:
    """In the definition, ten projections of the image per prompt are most of it."""

    class Plain(SamDecoder):
        """A subclass, which is exported unchanged."""

    whole, ours = (captured(kind(), slots=2) for kind in (Plain, SamDecoder))
    assert sum(macs_by_node(ours).values()) < 0.35 * sum(macs_by_node(whole).values())


def test_rounding_never_makes_a_variance_negative(decoder: SamDecoder) -> None:
    """The image of a prompt may cancel the photo's: its variance is a difference of sums."""
    image, *prompts = _inputs(2, 2, masks=False)
    with torch.no_grad():
        single = copy.deepcopy(decoder).float()
        flat = as_exported(single, 0 * image.float(), *(p.float() for p in prompts))
    assert all(torch.isfinite(result).all() for result in flat)


def test_subclasses_are_exported_unchanged(decoder: SamDecoder) -> None:
    class Other(SamDecoder):
        """A subclass, which may override anything."""

    other = Other(frame=16 * GRID, grid=GRID)
    assert other.exported_form() is other
    rewritten = decoder.exported_form()
    assert isinstance(rewritten, TokenSideDecoder)
