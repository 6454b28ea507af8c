"""Which models can be trained, and which can teach.

Training runs SAM's own decoder on windows of the frame (`stages.student`), so a student has to have
that decoder, fed by one 64 x 64 map. The model is built on torch's meta device to find out: that
takes no memory and well under a second, even for ViT-H.
"""

from __future__ import annotations

import torch

from edgekit.errors import BadInput
from edgekit.models.checkpoints.fit import build
from edgekit.models.sam import SamDecoder
from edgekit.records import ModelRow
from edgekit.train.data.batches import FRAME

TRAINABLE_EXAMPLES = ("nanosam", "mobilesam", "edgesam")


def require_trainable(row: ModelRow) -> None:
    """Refuse a student that training cannot handle.

    Raises:
        BadInput: the model has no decoder, or not SAM's; or its frame is not 1024 pixels.
    """
    if obstacle := _decoder_obstacle(row) or _frame_obstacle(row):
        raise BadInput(
            f"{row.title} cannot be trained: {obstacle}.",
            expected=f"a model with SAM's own decoder and a frame of {FRAME} pixels, such as "
            f"{', '.join(TRAINABLE_EXAMPLES)}",
            next_step=f"edgekit train {TRAINABLE_EXAMPLES[0]} ... (`edgekit models` lists all)",
        )


def require_teacher(row: ModelRow) -> None:
    """Refuse a model whose embeddings a student cannot learn.

    Raises:
        BadInput: the model has no decoder, or not SAM's.
    """
    if obstacle := _decoder_obstacle(row):
        raise BadInput(
            f"{row.title} cannot teach: {obstacle}.",
            expected="a model with SAM's own decoder, such as mobilesam or sam_vit_h, or "
            "mobilenetv2 for features",
            next_step="give another --teacher (`edgekit models` lists all)",
        )


def _decoder_obstacle(row: ModelRow) -> str | None:
    with torch.device("meta"):
        _, decoder = build(row)
    if decoder is None:
        return "it has no decoder"
    if not isinstance(decoder, SamDecoder):
        return f"its decoder is not SAM's ({type(decoder).__name__})"
    return None


def _frame_obstacle(row: ModelRow) -> str | None:
    frame = row.client.preprocessing.frame
    return f"its encoder takes {frame} pixels" if frame != FRAME else None
