"""SAM-Lightening: a small ViT with dilated attention under SAM's decoder, with SAM's predictor.

Sources: Song et al., arXiv 2403.09195; Songyanfei/SAM-LIGHTENING, the first author's code, which
has no licence file. No weights are published. Of its builders, `DilatedSAM_vit_t` is the one that
works and is closest to the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import ModelRow

if TYPE_CHECKING:
    from torch import nn

ROWS = (
    ModelRow(
        name="samlightening",
        family="sam-lightening",
        variant="dilated_vit_t",
        title="SAM-Lightening (dilated ViT-T; no weights are public)",
        paper="https://arxiv.org/abs/2403.09195",
        licence="none published",
        parameters=18_155_696,
        encoder_gmacs=42.2,
        builder="edgekit.models.families.samlightening:build",
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(),
        client=SAM_CLIENT,
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.dilated_vit import DilatedVitEncoder
    from edgekit.models.sam import SamDecoder

    return DilatedVitEncoder().eval(), SamDecoder().eval()
