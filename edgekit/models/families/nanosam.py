"""NanoSAM: ResNet18, distilled from MobileSAM's encoder, under MobileSAM's decoder.

Source: NVIDIA-AI-IOT/nanosam, which has no paper. Its predictor resizes with PIL's default bicubic
filter, truncates sizes, scales both coordinates by one factor, never adds a padding point, and
crops masks at 256 pixels before it upscales them in one step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import MOBILE_SAM_FILE, SAM_CLIENT
from edgekit.records import (
    CheckpointFile,
    ClientContract,
    EverythingRule,
    MaskChoice,
    MaskRule,
    ModelRow,
    PromptRule,
)

if TYPE_CHECKING:
    from torch import nn

CLIENT = ClientContract(
    preprocessing=replace(SAM_CLIENT.preprocessing, resample="bicubic", rounding="truncate"),
    prompts=PromptRule(coordinate_scale="longest_side", padding_point="never"),
    masks=MaskRule(
        single=MaskChoice(masks=(0,)),
        multimask=MaskChoice(masks=(0, 1, 2, 3)),
        upscale="straight",
    ),
)

# The demonstration checkpoint's scores are far lower than SAM's, and its logits are flat, so their
# stability at SAM's offset is low: with SAM's thresholds it finds no mask.
# `confident` trades recall for time in hierarchical mode; bench_everything.py tries other values.
BUNDLED_EVERYTHING = EverythingRule(
    predicted_iou=0.3, stability=0.6, stability_offset=0.2, confident=1.5, min_area=100
)

ROWS = (
    ModelRow(
        name="nanosam",
        family="nanosam",
        variant="resnet18",
        title="NanoSAM (ResNet18)",
        paper="https://github.com/NVIDIA-AI-IOT/nanosam",
        licence="Apache-2.0",
        parameters=19_895_664,
        encoder_gmacs=43.6,
        builder="edgekit.models.families.nanosam:build",
        encoder_prefix="",
        unused_keys=(),
        checkpoints=(
            CheckpointFile(
                filename="resnet18_image_encoder.onnx",
                url="https://drive.google.com/file/d/14-SsvoaTl-esC3JOzomHDnI9OGgdO2OR",
                sha256=None,
                bytes=None,
                licence="Apache-2.0",
            ),
            MOBILE_SAM_FILE,
        ),
        client=CLIENT,
        bundled_everything=BUNDLED_EVERYTHING,
        forms=("state dict", "safetensors", "onnx"),
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.resnet18 import ResNet18Encoder
    from edgekit.models.sam import SamDecoder

    return ResNet18Encoder().eval(), SamDecoder().eval()
