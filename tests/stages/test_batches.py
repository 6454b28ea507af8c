"""Decoders for several prompts are made only for models with prompts that fit them."""

from __future__ import annotations

import pytest

from edgekit.catalog import target
from edgekit.models import registry
from edgekit.stages.batches import with_batches_in_use


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("nanosam", True),
        ("mobilesam", True),  # a point has a padding point
        ("sam2.1_hiera_t", True),  # so has a box, which then does not fit
        ("efficientsam_ti", False),  # all prompts are filled up to six points
        ("fastsam_s", False),  # no decoder
        ("squeezesam", False),  # no decoder
    ],
)
def test_batches_that_no_prompt_fits_are_left_out(model: str, kept: bool) -> None:
    profile = target("android-fp32")
    used = with_batches_in_use(profile, registry.model(model).client)
    assert used.prompt_batches == (profile.prompt_batches if kept else ())
    assert used.prompt_slots == profile.prompt_slots
