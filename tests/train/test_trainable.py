"""Every model of the registry is trainable, or refused with a clear message."""

from __future__ import annotations

import pytest
import torch

from edgekit.errors import BadInput
from edgekit.models import registry
from edgekit.models.checkpoints.fit import build
from edgekit.models.sam import SamDecoder
from edgekit.records import ModelRow
from edgekit.train.data.batches import Batch
from edgekit.train.stages.student import Student
from edgekit.train.trainable import TRAINABLE_EXAMPLES, require_teacher, require_trainable

TRAINABLE_FAMILIES = {
    "nanosam",
    "mobilesam",
    "mobilesamv2",
    "tinysam",
    "sam",
    "samfast",
    "slimsam",
    "supersam",
    "sam-lightening",
    "esam",
    "edgesam",
    "repvit-sam",
}


def is_trainable(row: ModelRow) -> bool:
    return row.family in TRAINABLE_FAMILIES or row.name.startswith("efficientvit_sam_xl")


@pytest.mark.parametrize("row", registry.models(), ids=lambda row: row.name)
def test_every_row_is_trainable_or_refused(row: ModelRow) -> None:
    if is_trainable(row):
        require_trainable(row)
        return
    with pytest.raises(BadInput, match="cannot be trained") as refused:
        require_trainable(row)
    assert refused.value.expected
    assert refused.value.next_step


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", [row for row in registry.models() if is_trainable(row)], ids=lambda row: row.name
)
def test_a_trainable_encoder_embeds_a_frame(row: ModelRow) -> None:
    """The encoder, on the meta device, which checks shapes without computing."""
    with torch.device("meta"):
        encoder, decoder = build(row)
        batch = Batch(
            rgb=torch.zeros(1, 3, 1024, 1024),
            valid=torch.ones(1, 1, 1024, 1024),
            coords=torch.zeros(1, 3, 2),
            labels=torch.zeros(1, 3),
            targets=torch.zeros(1, 256, 256),
            usable=torch.ones(1, dtype=torch.bool),
            single=torch.zeros(1),
        )
        assert isinstance(decoder, SamDecoder)
        student = Student(encoder, decoder)
        assert student.embed(batch).shape == (1, 256, 64, 64)
    assert student.takes_any_size == (row.name == "nanosam")


def test_the_examples_in_the_message_are_trainable() -> None:
    for name in TRAINABLE_EXAMPLES:
        require_trainable(registry.model(name))


@pytest.mark.parametrize("name", ["sam2_hiera_t", "efficientsam_ti", "hqsam_vit_b", "fastsam_s"])
def test_a_teacher_without_sams_decoder_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot teach"):
        require_teacher(registry.model(name))


def test_a_teacher_may_have_another_frame() -> None:
    require_teacher(registry.model("efficientvit_sam_l0"))
