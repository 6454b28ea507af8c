"""SqueezeSAM: a U-Net that gets photo and prompt in one image of five channels.

Sources: Varadarajan et al., arXiv 2312.06736; yformer/EfficientSAM@3477a43, `squeeze_sam/`. The
model is one graph that runs once per prompt; the client draws the prompt. Upstream keeps the last
three of four masks, and has no use for background points: they would change nothing. Segmenting
everything runs the whole network for each point of the grid.

The paper's model is 31.6 times smaller than SAM ViT-H (20 M parameters), and the one that was
published has 10 M. It was there for two days in December 2023. Its authors said that it was not
ready for release (yformer/EfficientSAM#51), and only the repository's history still has the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import (
    CheckpointFile,
    ClientContract,
    DrawingRule,
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
        frame=512,
        resample="float_bilinear",
        fit="squash",
        mean=SAM_CLIENT.preprocessing.mean,
        std=SAM_CLIENT.preprocessing.std,
    ),
    prompts=PromptRule(
        coordinate_scale="per_axis", padding_point="never", refuses=("background_point", "mask")
    ),
    drawing=DrawingRule(radius=5),
    masks=MaskRule(
        single=MaskChoice(masks=(0, 1, 2), keep="best"),
        multimask=MaskChoice(masks=(0, 1, 2)),
        upscale="squashed",
        resample="bicubic",
        inside="at_or_above",
    ),
    everything=EverythingRule(choice=MaskChoice(masks=(0, 1, 2))),
)

ROWS = (
    ModelRow(
        name="squeezesam",
        family="squeezesam",
        variant="base",
        title="SqueezeSAM (U-Net)",
        paper="https://arxiv.org/abs/2312.06736",
        licence="Apache-2.0",
        parameters=10_159_260,
        encoder_gmacs=26.3,
        builder="edgekit.models.families.squeezesam:build",
        encoder_prefix="",
        unused_keys=(),
        checkpoints=(
            CheckpointFile(
                filename="squeeze_sam.pt",
                url="https://github.com/yformer/EfficientSAM/raw/3477a435dea34ac50838d7e8cd37f97e12a7caa4/weights/squeeze_sam.pt",
                sha256=None,
                bytes=None,
                licence="Apache-2.0",
            ),
        ),
        client=CLIENT,
        graph=GraphContract(features=("low_res_masks", "iou_predictions"), prompts=(), answers=()),
        warning=(
            "SqueezeSAM's authors withdrew its weights two days after they had published them: "
            "they called the model not ready for release (yformer/EfficientSAM#51)."
        ),
    ),
)


def build() -> tuple[nn.Module, None]:
    """The network with random weights, in eval mode, and no decoder."""
    from edgekit.models.encoders.squeeze_sam import SqueezeSam, SqueezeSamSize

    return SqueezeSam(SqueezeSamSize()).eval(), None
