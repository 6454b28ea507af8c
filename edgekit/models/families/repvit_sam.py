"""RepViT-SAM: RepViT-M2.3 under SAM's decoder, with SAM's predictor.

Sources: Wang et al., arXiv 2312.05760; THU-MIG/RepViT, folder sam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import CheckpointFile, ModelRow

if TYPE_CHECKING:
    from torch import nn

ROWS = (
    ModelRow(
        name="repvit_sam",
        family="repvit-sam",
        variant="m2.3",
        title="RepViT-SAM (RepViT-M2.3)",
        paper="https://arxiv.org/abs/2312.05760",
        licence="Apache-2.0",
        parameters=27_223_480,
        encoder_gmacs=113.3,
        builder="edgekit.models.families.repvit_sam:build",
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(
            CheckpointFile(
                filename="repvit_sam.pt",
                url="https://github.com/THU-MIG/RepViT/releases/download/v1.0/repvit_sam.pt",
                sha256="1fd2867cf669e6d89b1c91d0eb883d83ef4bcc590143dd2ca35e2705b21a4f2f",
                bytes=None,
                licence="Apache-2.0",
            ),
        ),
        client=SAM_CLIENT,
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.repvit import RepVitEncoder
    from edgekit.models.sam import SamDecoder

    return RepVitEncoder().eval(), SamDecoder().eval()
