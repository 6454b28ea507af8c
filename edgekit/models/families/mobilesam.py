"""MobileSAM: TinyViT-5M under SAM's decoder, with SAM's predictor.

Sources: Zhang et al., arXiv 2306.14289; ChaoningZhang/MobileSAM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.records import (
    CheckpointFile,
    ClientContract,
    MaskChoice,
    MaskRule,
    ModelRow,
    Preprocessing,
    PromptRule,
)

if TYPE_CHECKING:
    from torch import nn

# Source: facebookresearch/segment-anything, predictor.py and utils/transforms.py.
SAM_CLIENT = ClientContract(
    preprocessing=Preprocessing(
        frame=1024,
        resample="bilinear",
        rounding="half_up",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    ),
    prompts=PromptRule(coordinate_scale="per_axis", padding_point="without_box"),
    masks=MaskRule(
        single=MaskChoice(masks=(0,)),
        multimask=MaskChoice(masks=(1, 2, 3)),
        upscale="frame_then_photo",
    ),
)

MOBILE_SAM_FILE = CheckpointFile(
    filename="mobile_sam.pt",
    url="https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    bytes=40_728_226,
    licence="Apache-2.0",
)

ROWS = (
    ModelRow(
        name="mobilesam",
        family="mobilesam",
        variant="vit_t",
        title="MobileSAM (TinyViT-5M)",
        paper="https://arxiv.org/abs/2306.14289",
        licence="Apache-2.0",
        parameters=10_130_092,
        encoder_gmacs=38.8,
        builder="edgekit.models.families.mobilesam:build",
        encoder_prefix="image_encoder.",
        unused_keys=("image_encoder.norm_head.", "image_encoder.head."),
        checkpoints=(MOBILE_SAM_FILE,),
        client=SAM_CLIENT,
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.tiny_vit import TinyVitEncoder
    from edgekit.models.sam import SamDecoder

    return TinyVitEncoder().eval(), SamDecoder().eval()
