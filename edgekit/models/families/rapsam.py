"""RAP-SAM: one query per prompt, refined over the pixels that it selects.

Sources: Xu et al., arXiv 2401.10228; xushilin1/RAP-SAM. A prompt is a box, or a point, which
becomes the box of three pixels to each side of its pixel. Several points of one object, background
points and earlier masks are not prompts of this model. Its panoptic path is not exported: those
weights are left out.

Upstream shares its files on OneDrive and gives no digests, so edgekit never downloads them.
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
    PromptRule,
)

if TYPE_CHECKING:
    from torch import nn

ONE_MASK = MaskChoice(masks=(0,))

CLIENT = ClientContract(
    preprocessing=SAM_CLIENT.preprocessing,
    prompts=PromptRule(
        coordinate_scale="photo_sides",
        padding_point="never",
        point_margin=3,
        refuses=("background_point", "mask", "points_and_box", "several_points", "multimask"),
    ),
    masks=MaskRule(single=ONE_MASK, multimask=ONE_MASK, upscale="frame_then_photo"),
    everything=EverythingRule(choice=ONE_MASK),
)

_PANOPTIC = (
    "panoptic_head.kernels.",
    "panoptic_head.panoptic_attn.",
    "panoptic_head.panoptic_cls.",
)
_STAGES = tuple(
    f"panoptic_head.mask_heads.{stage}.{part}."
    for stage in range(3)
    for part in ("cls_fcs", "cls_proj", "iou_embed")
)

ROWS = (
    ModelRow(
        name="rapsam_r50",
        family="rap-sam",
        variant="r50",
        title="RAP-SAM (ResNet-50)",
        paper="https://arxiv.org/abs/2401.10228",
        licence="MIT",
        parameters=47_252_245,
        encoder_gmacs=137.0,
        builder="edgekit.models.families.rapsam:build",
        encoder_prefix="",
        unused_keys=(*_PANOPTIC, *_STAGES),
        checkpoints=(
            CheckpointFile(
                filename="rapsam_r50_12e.pth",
                url="https://github.com/xushilin1/RAP-SAM",
                sha256=None,
                bytes=None,
                licence="MIT",
            ),
        ),
        client=CLIENT,
        graph=GraphContract(prompts=("point_coords", "point_labels")),
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.rap_sam import RapSamEncoder
    from edgekit.models.sam.rap_sam_decoder import RapSamDecoder

    return RapSamEncoder().eval(), RapSamDecoder().eval()
