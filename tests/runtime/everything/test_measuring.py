"""The part of a mask that is enlarged holds all of it."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.models import registry
from edgekit.records import ClientContract, FloatArray
from edgekit.runtime.everything.measuring import measure
from edgekit.runtime.postprocess import masks_from_logits, upscale_logits

CLIENTS = [
    pytest.param(registry.model(name).client, id=name)
    for name in (
        "mobilesam",
        "nanosam",
        "sam2_hiera_t",
        "efficientsam_ti",
        "efficienttam_ti_512x512",
    )
]


def blob(side: int, seed: int) -> FloatArray:
    """Logits of one smooth hill, between -12 and 8."""
    generator = np.random.default_rng(seed)
    x, y, wide = generator.random(3)
    places = (np.arange(side) + 0.5) / side
    across = (places - x) ** 2 / (0.01 + wide * 0.05)
    down = (places - y) ** 2 / 0.02
    return np.maximum(8 - 6 * (across[None] + down[:, None]), -12).astype(np.float32)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("size", [(428, 640), (640, 427), (1500, 900), (37, 100)])
@pytest.mark.parametrize("seed", range(3))
def test_as_if_all_of_it_were_enlarged(
    client: ClientContract, size: tuple[int, int], seed: int
) -> None:
    low_res = blob(client.masks.side, seed)
    measured = measure(low_res, size, client, offset=1.0)
    logits = upscale_logits(low_res, size, client)
    mask = np.zeros(size, np.bool_)
    top, left = measured.corner
    mask[top : top + measured.mask.shape[0], left : left + measured.mask.shape[1]] = measured.mask
    assert np.count_nonzero(mask != masks_from_logits(low_res, size, client)) <= 1
    outer = np.count_nonzero(logits > -1)
    if outer:
        stability = np.count_nonzero(logits > 1) / outer
        assert measured.stability == pytest.approx(stability, abs=2 / outer)
    else:
        assert np.isnan(measured.stability)


def test_a_small_mask_is_not_enlarged_as_a_whole() -> None:
    client = registry.model("mobilesam").client
    low_res = np.full((256, 256), -9, np.float32)
    low_res[100:110, 120:140] = 9
    measured = measure(low_res, (3000, 4000), client, offset=1.0)
    assert measured.logits.size < 3000 * 4000 / 100


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_logits_warn_of_nothing(value: float) -> None:
    client = registry.model("mobilesam").client
    low_res = np.full((256, 256), value, np.float32)
    low_res[0] = 1
    assert measure(low_res, (60, 80), client, offset=1.0).mask.shape <= (60, 80)
