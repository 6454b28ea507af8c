"""Which models can be trained, and which can teach.

Training runs the original SAM's decoder on frames of several resolutions (`stages.student`), so a
student needs that decoder. The check builds the model on torch's meta device, which takes no memory
and less than a second even for ViT-H.
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
        BadInput: the model does not have SAM's decoder, or its frame is not 1024 pixels.
    """
    if obstacle := _decoder_obstacle(row) or _frame_obstacle(row):
        raise BadInput(
            f"{row.title} cannot be trained: {obstacle}.",
            expected=f"a model with the original SAM's decoder and a frame of {FRAME} pixels, "
            f"such as {', '.join(TRAINABLE_EXAMPLES)}",
            next_step=f"edgekit train {TRAINABLE_EXAMPLES[0]} ... (`edgekit models` lists all)",
        )


def require_teacher(row: ModelRow) -> None:
    """Refuse a model whose embeddings a student cannot learn.

    Raises:
        BadInput: the model does not have SAM's decoder.
    """
    if obstacle := _decoder_obstacle(row):
        raise BadInput(
            f"{row.title} cannot teach: {obstacle}.",
            expected="a model with the original SAM's decoder, such as mobilesam or sam_vit_h; or "
            "efficientnet-lite2, which teaches features",
            next_step="give another --teacher (`edgekit models` lists all)",
        )


def _decoder_obstacle(row: ModelRow) -> str | None:
    with torch.device("meta"):
        _, decoder = build(row)
    if decoder is None:
        return "it has no decoder"
    if not isinstance(decoder, SamDecoder):
        return "its decoder is not the original SAM's"
    return None


def _frame_obstacle(row: ModelRow) -> str | None:
    frame = row.client.preprocessing.frame
    return f"its frame is {frame} pixels" if frame != FRAME else None
