"""RAP-SAM against upstream's numbers: its maps, its queries, each stage, and the final masks.

The oracle is as those of test_oracles.py, but its prompts are boxes and single points: two points
are two prompts. It also holds the mask after each stage. The last stage sums 65,536 numbers in
float32, so upstream's own numbers move there, and only there the oracle's wide tolerance is needed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.models import registry
from edgekit.records import WeightsSource
from tests.parity.oracles import FOLDER, require_close, sampled
from tests.parity.test_oracles import Oracle, load

if TYPE_CHECKING:
    from edgekit.models.checkpoints.fit import Split
    from edgekit.runtime.prompts import Prompt

NAME = "rapsam_r50"
SHARP = 1e-5
"""Relative to the maximum; float32 moves by 4e-6 there."""
MAPS = ("res2", "res3", "res4", "res5", "neck")
PROMPTS = ("p1", "p2", "p3")
FEEDS = ("point_coords", "point_labels")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / f"{NAME}.npz").is_file(), reason=f"no {NAME} in {FOLDER}"),
]


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return load(NAME)


def require_near(oracle: Oracle, tag: str, ours: np.ndarray, limit: float = SHARP) -> None:
    require_close(sampled(ours, tag), oracle.arrays[f"{tag}.sample"], limit)


def test_preprocessed_photo_equals_upstreams(oracle: Oracle) -> None:
    require_near(oracle, "input", oracle.image, limit=1e-6)


def test_maps_equal_upstreams(oracle: Oracle) -> None:
    import torch

    encoder = _split().encoder
    with torch.inference_mode():
        maps = encoder.backbone(torch.from_numpy(oracle.image))
    embeddings = oracle.features["image_embeddings"]
    for name, ours in zip(MAPS, (*(each.numpy() for each in maps), embeddings), strict=True):
        require_near(oracle, f"embed.{name}", ours)


@pytest.mark.parametrize("key", PROMPTS)
def test_queries_and_stages_equal_upstreams(oracle: Oracle, key: str) -> None:
    import torch

    from edgekit.models.sam.rap_sam_decoder import box_corners

    head = _split().decoder.panoptic_head
    feeds = (torch.from_numpy(feeds_of(oracle, key)[name]) for name in FEEDS)
    pixels = torch.from_numpy(oracle.features["image_embeddings"]).flatten(2)
    with torch.inference_mode():
        queries = head.queries(box_corners(*feeds) / 1024)
        *stages, _ = head.stages(queries, pixels)
    require_near(oracle, f"{key}.query", queries.numpy())
    for number, (_, masks) in enumerate(stages):
        require_near(oracle, f"{key}.stage{number}.mask", masks.numpy())


@pytest.mark.parametrize("key", PROMPTS)
def test_masks_and_scores_equal_upstreams(oracle: Oracle, key: str) -> None:
    from edgekit.runtime.postprocess import masks_from_logits, upscale_logits

    answers = oracle.decoder.run({**oracle.features, **feeds_of(oracle, key)})
    logits, client, size = answers["low_res_masks"], oracle.row.client, oracle.photo.shape[:2]
    tag = f"{key}.low_res"
    require_close(sampled(logits, tag, 1024), oracle.arrays[f"{tag}.sample"], oracle.tolerance)
    moved = oracle.facts["tolerance"]["measured_float32_vs_float64"]["iou_abs"][key]
    scores = answers["iou_predictions"].reshape(-1)
    assert np.abs(scores - oracle.arrays[f"{key}.iou"]).max() <= 5 * moved

    shape = tuple(oracle.arrays[f"{key}.mask.shape"])
    bits = np.unpackbits(oracle.arrays[f"{key}.mask"])[: int(np.prod(shape))]
    differ = masks_from_logits(logits, size, client)[:, 0] != bits.reshape(shape).astype(bool)
    limit = oracle.tolerance * float(oracle.arrays[f"{key}.low_res.maxabs"].max())
    assert not (differ & (np.abs(upscale_logits(logits, size, client)[:, 0]) > limit)).any()


def feeds_of(oracle: Oracle, key: str) -> dict[str, np.ndarray]:
    from edgekit.runtime.decoder_feeds import decoder_feeds

    size = oracle.photo.shape[:2]
    return decoder_feeds(list(_prompts(oracle, key)), size, oracle.row.client)


def _prompts(oracle: Oracle, key: str) -> Iterator[Prompt]:
    """Upstream takes each point as a prompt of its own."""
    from edgekit.runtime.prompts import Prompt

    given = oracle.facts["prompts"][key]
    if "box" in given:
        yield Prompt.checked(box=given["box"])
    for point in given.get("points", ()):
        yield Prompt.checked(points=[point], labels=[1])


@functools.cache
def _split() -> Split:
    """The modules themselves: the oracle's sessions give final results only."""
    from edgekit.models.checkpoints.fit import load as load_model

    source = WeightsSource(kind="seeded", licence="none", seed=0)
    return load_model(registry.model(NAME), source)
