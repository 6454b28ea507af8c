"""MobileSAMv2: three encoders under a decoder that was distilled for box prompts.

Sources: Zhang et al., arXiv 2312.09579; ChaoningZhang/MobileSAM, folder MobileSAMv2. The decoder's
architecture and the predictor are SAM's; the decoder's file names its two parts differently. The
EfficientViT encoder is that of EfficientViT-SAM-L2, which here takes the frame of 1024 and halves
it. Upstream's object detector is not part of the model: boxes may come from anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.families import efficientvit_sam, mobilesam, sam
from edgekit.records import CheckpointFile, ModelRow

if TYPE_CHECKING:
    from torch import nn

DECODER_FILE = CheckpointFile(
    filename="Prompt_guided_Mask_Decoder.pt",
    url=(
        "https://github.com/ChaoningZhang/MobileSAM/raw/master/MobileSAMv2/PromptGuidedDecoder/"
        "Prompt_guided_Mask_Decoder.pt"
    ),
    sha256=None,
    bytes=None,
    licence="Apache-2.0",
)


def _row(variant: str, encoder: ModelRow, *, builder: str, title: str) -> ModelRow:
    return ModelRow(
        name=f"mobilesamv2_{variant}",
        family="mobilesamv2",
        variant=variant,
        title=f"MobileSAMv2 ({title})",
        paper="https://arxiv.org/abs/2312.09579",
        licence="Apache-2.0",
        parameters=encoder.parameters,
        encoder_gmacs=encoder.encoder_gmacs,
        builder=builder,
        size=encoder.size,
        encoder_prefix="image_encoder.",
        unused_keys=mobilesam.ROWS[0].unused_keys,
        checkpoints=(DECODER_FILE, *encoder.checkpoints),
        client=mobilesam.SAM_CLIENT,
    )


ROWS = (
    _row("vit_t", mobilesam.ROWS[0], builder=mobilesam.ROWS[0].builder, title="TinyViT-5M"),
    _row(
        "efficientvit_l2",
        efficientvit_sam.ROWS[2],
        builder="edgekit.models.families.mobilesamv2:build",
        title="EfficientViT-L2",
    ),
    _row("vit_h", sam.VIT_H, builder=sam.VIT_H.builder, title="ViT-H"),
)


def build(size: str) -> tuple[nn.Module, nn.Module]:
    """EfficientViT of this size and SAM's decoder with random weights, in eval mode."""
    from edgekit.models.encoders.efficientvit import SIZES, HalvingEfficientVitEncoder
    from edgekit.models.sam import SamDecoder

    return HalvingEfficientVitEncoder(SIZES[size]).eval(), SamDecoder().eval()
