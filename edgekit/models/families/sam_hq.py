"""SAM-HQ and Light HQ-SAM: SAM and MobileSAM with one more, finer mask.

Sources: Ke et al., arXiv 2306.01567; SysCV/sam-hq. The predictor always returns one mask: SAM's
first, or the best of the other three, with the fine mask added. The mask choice named "hq_only"
returns the fine mask alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import CheckpointFile, EverythingRule, GraphContract, MaskChoice, ModelRow

if TYPE_CHECKING:
    from torch import nn

CLIENT = replace(
    SAM_CLIENT,
    masks=replace(
        SAM_CLIENT.masks,
        multimask=MaskChoice(masks=(1, 2, 3), keep="best"),
        others=(MaskChoice(name="hq_only", masks=(4,)),),
    ),
    everything=EverythingRule(choice=MaskChoice(masks=(1, 2, 3), keep="best")),
)


def _row(
    variant: str, *, title: str, parameters: int, encoder_gmacs: float, sha256: str, size: int
) -> ModelRow:
    filename = f"sam_hq_{variant}.pth"
    return ModelRow(
        name=f"hqsam_{variant}",
        family="sam-hq",
        variant=variant,
        title=title,
        paper="https://arxiv.org/abs/2306.01567",
        licence="Apache-2.0",
        parameters=parameters,
        encoder_gmacs=encoder_gmacs,
        builder="edgekit.models.families.sam_hq:build",
        size=variant.removeprefix("vit_"),
        encoder_prefix="",
        unused_keys=("image_encoder.norm_head.", "image_encoder.head."),
        checkpoints=(
            CheckpointFile(
                filename=filename,
                url=f"https://huggingface.co/lkeab/hq-sam/resolve/main/{filename}",
                sha256=sha256,
                bytes=size,
                licence="Apache-2.0",
            ),
        ),
        client=CLIENT,
        graph=GraphContract(features=("image_embeddings", "hq_features")),
        forms=("state dict", "safetensors", *(("transformers",) if variant != "vit_tiny" else ())),
    )


ROWS = (
    _row(
        "vit_tiny",
        title="Light HQ-SAM (TinyViT-5M)",
        parameters=10_578_604,
        encoder_gmacs=40.4,
        sha256="0f32c075ccdd870ae54db2f7630e7a0878ede5a2b06d05d6fe02c65a82fb7196",
        size=42_526_881,
    ),
    _row(
        "vit_b",
        title="SAM-HQ (ViT-B)",
        parameters=94_806_576,
        encoder_gmacs=490.2,
        sha256="14a9d662cd6f5a9c2dba6d40ab0058d88d287e4a18fd6fdc6ad5fb1a3fdeaa57",
        size=379_335_069,
    ),
    _row(
        "vit_l",
        title="SAM-HQ (ViT-L)",
        parameters=313_676_080,
        encoder_gmacs=1498.1,
        sha256="e1a6c385d62bf005ded91a54d5ec55c985cfc4103ef89c08d90f39f04934c343",
        size=1_254_865_805,
    ),
    _row(
        "vit_h",
        title="SAM-HQ (ViT-H)",
        parameters=642_686_000,
        encoder_gmacs=2986.8,
        sha256="a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35",
        size=2_570_940_653,
    ),
)


def build(size: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode.

    `size` is "b", "l" or "h" for SAM's ViT, "tiny" for TinyViT.
    """
    from edgekit.models.encoders.hq import HqEncoder
    from edgekit.models.encoders.sam_vit import SIZES, SamVitEncoder
    from edgekit.models.encoders.tiny_vit import WIDTHS, TinyVitEncoder
    from edgekit.models.sam.hq_decoder import HqDecoder

    if size == "tiny":
        encoder = HqEncoder(TinyVitEncoder(), early_width=WIDTHS[2])
    else:
        encoder = HqEncoder(SamVitEncoder(SIZES[size]), early_width=SIZES[size].width)
    return encoder.eval(), HqDecoder().eval()
