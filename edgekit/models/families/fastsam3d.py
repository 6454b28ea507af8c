"""FastSAM3D: a student of SAM-Med3D, which is SAM for volumes, with a smaller encoder.

Sources: Shen et al., arXiv 2403.09827; arcadelab/FastSAM3D, whose validation_student.py is the
client. Two files make the model: the student's encoder, and SAM-Med3D, whose prompt encoder and
mask decoder it keeps. Neither is published with a digest, so edgekit downloads neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.records import (
    CheckpointFile,
    GraphContract,
    MaskChoice,
    ModelRow,
    Precision,
    TargetLimit,
    VolumeContract,
    VolumePreprocessing,
)

if TYPE_CHECKING:
    from torch import nn

CLIENT = VolumeContract(
    preprocessing=VolumePreprocessing(frame=128),
    single=MaskChoice(masks=(0,)),
    multimask=MaskChoice(masks=(1, 2, 3)),
    side=32,
)

ROWS = (
    ModelRow(
        name="fastsam3d",
        family="fastsam3d",
        variant="6 layers, 6 heads",
        title="FastSAM3D (volumes; the student of 6 layers)",
        paper="https://arxiv.org/abs/2403.09827",
        licence="Apache-2.0",
        parameters=53_224_240,
        encoder_gmacs=24.8,
        builder="edgekit.models.families.fastsam3d:build",
        encoder_prefix="",
        unused_keys=("image_encoder.",),
        checkpoints=(
            CheckpointFile(
                filename="6layers6heads_student",
                url="https://huggingface.co/techlove/FastSAM3D",
                sha256=None,
                bytes=None,
                licence="Apache-2.0",
            ),
            CheckpointFile(
                filename="sam_med3d_turbo.pth",
                url="https://huggingface.co/blueyo0/SAM-Med3D",
                sha256=None,
                bytes=None,
                licence="Apache-2.0",
            ),
        ),
        client=CLIENT,
        graph=GraphContract(axes=3),
        limit=TargetLimit(
            runtimes=("onnxruntime", "openvino"),
            precisions=(Precision.FP32,),
            reason="its 3-D convolutions were verified with ONNX Runtime and OpenVINO alone, and "
            "lower precisions are planned and judged on photos, while this model segments volumes",
        ),
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.fastsam3d_vit import FastSam3dEncoder
    from edgekit.models.sam.volume_decoder import VolumeDecoder

    return FastSam3dEncoder().eval(), VolumeDecoder().eval()
