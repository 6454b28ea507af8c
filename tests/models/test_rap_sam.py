"""RAP-SAM: its attentions against torch's, independent prompts, and the form that is exported."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
from torch import nn  # noqa: E402

from edgekit.models import registry  # noqa: E402
from edgekit.models.encoders.rap_sam import RapSamEncoder  # noqa: E402
from edgekit.models.encoders.resnet50 import ResNet50  # noqa: E402
from edgekit.models.sam.rap_sam_decoder import (  # noqa: E402
    BoxEncoding,
    OwnValue,
    PixelAttention,
    RapSamDecoder,
)
from edgekit.program.capture import (  # noqa: E402
    capture_decoder,
    capture_encoder,
    image_embeddings,
)
from edgekit.program.passes.bake_tables import bake_tables  # noqa: E402
from edgekit.records import Label  # noqa: E402
from tests.graph.form import require_form  # noqa: E402

FRAME, DIM = 64, 32
BOX = (Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT)


def filled(module: nn.Module) -> nn.Module:
    """Random weights, so that nothing is 0."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.3)
    return module.eval()


@pytest.fixture(scope="module")
def decoder() -> nn.Module:
    return filled(RapSamDecoder(frame=FRAME, dim=DIM))


def torchs(ours: nn.Module) -> nn.MultiheadAttention:
    """Torch's attention with the same weights, under the same names."""
    theirs = nn.MultiheadAttention(DIM, 8, batch_first=True).eval()
    theirs.load_state_dict(ours.state_dict())
    return theirs


def test_attention_to_pixels_equals_torchs_and_so_does_its_baked_form() -> None:
    ours = filled(PixelAttention(DIM))
    queries, pixels = torch.randn(1, 3, DIM), torch.randn(1, DIM, 50)
    rows = pixels.transpose(1, 2)
    with torch.no_grad():
        expected, _ = torchs(ours)(queries, rows, rows)
        for form in (ours, bake_tables(ours)):
            torch.testing.assert_close(form(queries, pixels), expected, atol=1e-4, rtol=1e-4)


def test_every_projection_of_the_attention_to_pixels_learns() -> None:
    ours = filled(PixelAttention(DIM))
    ours(torch.randn(1, 3, DIM), torch.randn(1, DIM, 50)).square().sum().backward()
    queries, keys, values = ours.in_proj_weight.grad.chunk(3)
    assert all(grad.abs().max() > 0 for grad in (queries, keys, values, ours.out_proj.weight.grad))


def test_a_query_that_sees_only_itself_equals_torchs_masked_attention() -> None:
    ours = filled(OwnValue(DIM))
    queries = torch.randn(1, 3, DIM)
    others = ~torch.eye(3, dtype=torch.bool)
    with torch.no_grad():
        expected, _ = torchs(ours)(queries, queries, queries, attn_mask=others)
        for form in (ours, bake_tables(ours)):
            torch.testing.assert_close(form(queries), expected, atol=1e-5, rtol=1e-5)


def test_the_encoding_has_pairs_of_sine_and_cosine_of_y_x_width_height() -> None:
    (encoded,) = BoxEncoding(4)(torch.tensor([[0.1, 0.3, 0.5, 0.9]]))
    turn = 2 * torch.pi
    for start, value in zip((0, 4, 8, 12), (0.6, 0.3, 0.4, 0.6), strict=True):
        phases = torch.tensor([value * turn, value * turn, value * turn / 100, value * turn / 100])
        expected = torch.where(torch.arange(4) % 2 == 0, phases.sin(), phases.cos())
        torch.testing.assert_close(encoded[start : start + 4], expected, atol=1e-5, rtol=0)


def test_prompts_are_independent_and_empty_slots_have_no_influence(decoder: nn.Module) -> None:
    image = torch.randn(1, DIM, FRAME // 4, FRAME // 4)
    corners = torch.tensor([[[3.0, 5], [40, 60]], [[20, 9], [31, 24]]])
    labels = torch.tensor([BOX, BOX], dtype=torch.float32)
    slots = torch.cat([torch.full((2, 1), float(Label.EMPTY)), labels], dim=1)
    places = torch.cat([torch.full((2, 1, 2), 7.0), corners], dim=1)
    with torch.no_grad():
        masks, scores = decoder(image, places, slots)
        assert masks.shape == (2, 1, FRAME // 4, FRAME // 4)
        for i in range(2):
            alone, score = decoder(image, corners[i : i + 1], labels[i : i + 1])
            torch.testing.assert_close(masks[i], alone[0], atol=1e-3, rtol=1e-4)
            torch.testing.assert_close(scores[i], score[0], atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    torch.manual_seed(0)
    return RapSamEncoder(ResNet50(width=8, depths=(1, 1, 1, 1)), frame=FRAME).eval()


@pytest.mark.slow
def test_both_graphs_have_the_form_that_every_compiler_takes(
    encoder: nn.Module, decoder: nn.Module
) -> None:
    contract = registry.model("rapsam_r50").graph
    features = image_embeddings(DIM, FRAME // 4, FRAME // 4)
    require_form(capture_encoder(encoder, frame=FRAME))
    require_form(capture_decoder(decoder, features=features, contract=contract))


def test_the_encoder_gives_one_map_at_stride_4(encoder: nn.Module) -> None:
    image = torch.randn(2, 3, FRAME, FRAME)
    with torch.no_grad():
        embeddings = encoder(image)
        assert embeddings.shape == (2, 256, FRAME // 4, FRAME // 4)
        baked = bake_tables(encoder)
        torch.testing.assert_close(baked(image), embeddings, atol=1e-4, rtol=1e-4)
