"""EfficientSAM: plain ViTs under a decoder of the family's own.

Sources: Xiong et al., arXiv 2312.00863; yformer/EfficientSAM. A prompt is foreground points and a
box, at most six tokens; padding points fill the rest. Upstream's examples ask for three masks and
take the best, because the single mask is poor (yformer/EfficientSAM#36).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import (
    CheckpointFile,
    ClientContract,
    EverythingRule,
    GraphContract,
    MaskChoice,
    MaskRule,
    ModelRow,
    Preprocessing,
    PromptRule,
)

if TYPE_CHECKING:
    from torch import nn

CLIENT = ClientContract(
    preprocessing=Preprocessing(
        frame=1024,
        resample="float_bilinear",
        fit="squash",
        mean=SAM_CLIENT.preprocessing.mean,
        std=SAM_CLIENT.preprocessing.std,
    ),
    prompts=PromptRule(
        coordinate_scale="per_axis",
        padding_point="fill",
        max_points=6,
        refuses=("background_point", "mask"),
    ),
    masks=MaskRule(
        single=MaskChoice(masks=(0,)),
        multimask=MaskChoice(masks=(1, 2, 3)),
        upscale="squashed",
        resample="bicubic",
        inside="at_or_above",
    ),
    # notebooks/EfficientSAM_segment_everything_example.ipynb
    everything=EverythingRule(
        choice=MaskChoice(masks=(1, 2, 3), keep="best"),
        predicted_iou=0.7,
        stability=0.9,
        min_area=100,
    ),
)


def _row(
    variant: str, *, title: str, parameters: int, encoder_gmacs: float, file: CheckpointFile
) -> ModelRow:
    return ModelRow(
        name=f"efficientsam_{variant}",
        family="efficientsam",
        variant=variant,
        title=title,
        paper="https://arxiv.org/abs/2312.00863",
        licence="Apache-2.0",
        parameters=parameters,
        encoder_gmacs=encoder_gmacs,
        builder="edgekit.models.families.efficientsam:build",
        size=variant,
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(file,),
        client=CLIENT,
        graph=GraphContract(prompts=("point_coords", "point_labels")),
    )


ROWS = (
    _row(
        "ti",
        title="EfficientSAM-Ti (ViT-Ti)",
        parameters=10_223_204,
        encoder_gmacs=102.3,
        file=CheckpointFile(
            filename="efficient_sam_vitt.pt",
            url="https://github.com/yformer/EfficientSAM/raw/main/weights/efficient_sam_vitt.pt",
            sha256="dff858b19600a46461cbb7de98f796b23a7a888d9f5e34c0b033f7d6eb9e4e6a",
            bytes=40_982_470,
            licence="Apache-2.0",
        ),
    ),
    _row(
        "s",
        title="EfficientSAM-S (ViT-S)",
        parameters=26_413_028,
        encoder_gmacs=245.6,
        # Upstream ships a .zip, and only the digest of the file inside is known. So edgekit does
        # not download it: the user unpacks it and passes the file with --weights.
        file=CheckpointFile(
            filename="efficient_sam_vits.pt",
            url="https://github.com/yformer/EfficientSAM/raw/main/weights/efficient_sam_vits.pt.zip",
            sha256=None,
            bytes=None,
            licence="Apache-2.0",
        ),
    ),
)


def build(size: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode; `size` is "ti" or "s"."""
    from edgekit.models.encoders.plain_vit import SIZES, PlainVitEncoder
    from edgekit.models.sam.efficient_sam_decoder import EfficientSamDecoder

    return PlainVitEncoder(SIZES[size]).eval(), EfficientSamDecoder().eval()
