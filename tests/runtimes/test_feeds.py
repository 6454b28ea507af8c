"""What a session does with the arrays that it is given, whatever its runtime."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.records import TensorSpec
from edgekit.runtimes.feeds import checked_feeds


def specs(first: int | str) -> tuple[TensorSpec, ...]:
    """The inputs of a decoder whose mask prompt has this first dimension."""
    return (
        TensorSpec(name="point_labels", dtype="float32", shape=("prompts", "points")),
        TensorSpec(name="mask_input", dtype="float32", shape=(first, 1, 4, 4)),
        TensorSpec(name="has_mask_input", dtype="float32", shape=(first,)),
    )


def feeds(masks: int = 1) -> dict[str, np.ndarray]:
    return {
        "point_labels": np.ones((3, 2), np.float32),
        "mask_input": np.full((masks, 1, 4, 4), 7, np.float32),
        "has_mask_input": np.ones(masks, np.float32),
    }


def test_one_mask_serves_all_prompts() -> None:
    taken = checked_feeds(feeds(), specs(1))
    assert taken["mask_input"].shape == (1, 1, 4, 4)


def test_a_decoder_of_edgekit_0_1_gets_the_mask_once_per_prompt() -> None:
    taken = checked_feeds(feeds(), specs("prompts"))
    assert taken["mask_input"].shape == (3, 1, 4, 4)
    assert (taken["mask_input"] == 7).all()
    assert taken["has_mask_input"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("first", [1, "prompts"])
def test_another_number_of_masks_is_refused(first: int | str) -> None:
    with pytest.raises(BadInput, match="mask_input is float32 of shape"):
        checked_feeds(feeds(masks=2), specs(first))


def test_a_mask_prompt_of_no_dimension_is_refused() -> None:
    wrong = TensorSpec(name="has_mask_input", dtype="float32", shape=())
    with pytest.raises(BadInput, match="has_mask_input"):
        checked_feeds(feeds(), (*specs(1)[:2], wrong))
