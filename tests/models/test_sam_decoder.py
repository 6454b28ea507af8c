"""SAM's decoder: a batch equals single calls, and empty slots have no influence."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.models import registry
from edgekit.records import Label, WeightsSource

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
pytestmark = pytest.mark.slow

TOLERANCE = 1e-5  # of the largest logit, as the graph contract promises

# Eight prompts that differ widely: (coordinates in the 1024 frame, labels, has an earlier mask)
PROMPTS = (
    ([(512, 300)], [1], False),
    ([(100, 120), (900, 700)], [1, 0], False),
    ([(200, 200), (800, 900)], [2, 3], False),
    ([(512, 512), (300, 300), (0, 0)], [1, 0, -1], False),
    ([(400, 410), (100, 100), (700, 600)], [1, 2, 3], True),
    ([(640, 200), (0, 0)], [1, -1], True),
    ([(10, 10), (1000, 20), (1000, 1000), (20, 990)], [0, 0, 1, 0], False),
    ([(333.5, 777.25)], [0], True),
)


@pytest.fixture(scope="module")
def decoder() -> torch.nn.Module:
    from edgekit.models.checkpoints.fit import load

    row = registry.model("nanosam")
    return load(row, WeightsSource(kind="seeded", licence="none", seed=1)).decoder


@pytest.fixture(scope="module")
def embeddings() -> torch.Tensor:
    return torch.from_numpy(noise(0, (1, 256, 64, 64)))


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def feeds(prompts: tuple, slots: int) -> tuple[torch.Tensor, ...]:
    coords = np.full((len(prompts), slots, 2), 555, np.float32)  # garbage where slots are empty
    labels = np.full((len(prompts), slots), Label.EMPTY, np.float32)
    masks = np.zeros((len(prompts), 1, 256, 256), np.float32)
    for row, (points, codes, has_mask) in enumerate(prompts):
        coords[row, : len(points)] = points
        labels[row, : len(codes)] = codes
        if has_mask:
            masks[row] = 8 * noise(len(points), (1, 256, 256))
    has = np.array([float(has_mask) for *_, has_mask in prompts], np.float32)
    return tuple(torch.from_numpy(a) for a in (coords, labels, masks, has))


def run(decoder: torch.nn.Module, embeddings: torch.Tensor, prompts: tuple, slots: int) -> tuple:
    with torch.inference_mode():
        return decoder(embeddings, *feeds(prompts, slots))


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()


@pytest.fixture(scope="module")
def singles(decoder: torch.nn.Module, embeddings: torch.Tensor) -> list[tuple]:
    """The expected results: each prompt alone, without empty slots."""
    return [run(decoder, embeddings, (prompt,), len(prompt[0])) for prompt in PROMPTS]


# 4 is the longest prompt; 5, 8 and 16 are slot counts that fixed-shape targets use.
@pytest.mark.parametrize("slots", [4, 5, 8, 16])
def test_a_padded_batch_of_different_prompts_equals_single_calls(
    decoder: torch.nn.Module, embeddings: torch.Tensor, singles: list[tuple], slots: int
) -> None:
    masks, scores = run(decoder, embeddings, PROMPTS, slots)
    assert masks.shape == (8, 4, 256, 256)
    for row, (single, score) in enumerate(singles):
        assert_close(masks[row], single[0])
        assert_close(scores[row], score[0])


@pytest.mark.parametrize("slots", [5, 8, 16])
def test_empty_slots_have_no_influence_on_a_single_prompt(
    decoder: torch.nn.Module, embeddings: torch.Tensor, singles: list[tuple], slots: int
) -> None:
    masks, scores = run(decoder, embeddings, PROMPTS[1:2], slots)
    assert_close(masks, singles[1][0])
    assert_close(scores, singles[1][1])


def test_padding_points_have_influence(
    decoder: torch.nn.Module, embeddings: torch.Tensor, singles: list[tuple]
) -> None:
    """Label -1 is a token, -2 is not. Otherwise the tests above could not fail."""
    with_padding, _ = run(decoder, embeddings, (([(512, 300), (0, 0)], [1, -1], False),), 2)
    without = singles[0][0]
    assert (with_padding - without).abs().max() > 1e-2 * without.abs().max()


def test_baked_tables_change_nothing(
    decoder: torch.nn.Module, embeddings: torch.Tensor, singles: list[tuple]
) -> None:
    import copy

    baked = copy.deepcopy(decoder)
    baked.prompt_encoder.bake()
    assert torch.equal(run(baked, embeddings, PROMPTS[:1], 1)[0], singles[0][0])
