"""FastSAM: YOLOv8-seg detects every object, and prompts choose among the detections.

Sources: Zhao et al., arXiv 2306.12156; CASIA-IVA-Lab/FastSAM. The model is one graph without a
decoder, so the client applies the rules of choosing. Upstream pads a photo's short side to the next
multiple of 32; a graph of fixed sizes needs the whole square. Text prompts need a second model,
CLIP, which edgekit does not have.

The number of bins that a distance to a box side is spread over (`reg_max`) is read from the
checkpoint. Judged by their sizes, the published small file has 16 and the large one 26 (upstream's
configuration says 16). The files are pickled ultralytics modules in float16. Upstream shares them
on Google Drive; the digests here are those of ultralytics' copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.records import (
    CheckpointFile,
    DetectionRule,
    DetectorContract,
    GraphContract,
    ModelRow,
    Preprocessing,
)

if TYPE_CHECKING:
    from torch import nn

LICENCE = "AGPL-3.0"

CLIENT = DetectorContract(
    preprocessing=Preprocessing(
        frame=1024,
        resample="fixed_point_bilinear",
        mean=(0, 0, 0),
        std=(255, 255, 255),
        rounding="half_even",
        fit="centred",
        fill=114,
    ),
    objects=DetectionRule(score=0.4, overlap=0.9, most=300, snap=20, whole=0.9),
)

_MIRROR = "https://github.com/ultralytics/assets/releases/download/v8.2.0"
_BINS = "model.22.dfl.conv.weight"


def _row(
    variant: str,
    *,
    backbone: str,
    parameters: int,
    encoder_gmacs: float,
    sha256: str,
    size: int | None,
) -> ModelRow:
    filename = f"FastSAM-{variant}.pt"
    return ModelRow(
        name=f"fastsam_{variant}",
        family="fastsam",
        variant=variant,
        title=f"FastSAM-{variant} ({backbone})",
        paper="https://arxiv.org/abs/2306.12156",
        licence=LICENCE,
        parameters=parameters,
        encoder_gmacs=encoder_gmacs,
        builder="edgekit.models.families.fastsam:build",
        size=variant,
        encoder_prefix="",
        unused_keys=(),
        checkpoints=(
            CheckpointFile(
                filename=filename,
                url=f"{_MIRROR}/{filename}",
                sha256=sha256,
                bytes=size,
                licence=LICENCE,
            ),
        ),
        client=CLIENT,
        graph=GraphContract(
            features=("boxes", "scores", "coefficients", "prototypes"),
            prompts=(),
            answers=(),
            measures=("boxes", "scores"),
        ),
        widths="from_checkpoint",
        forms=("pickled module", "state dict", "safetensors"),
        warning=(
            "FastSAM's weights are under the AGPL-3.0. If you pass on a bundle made from them, or "
            "let others use it over a network, you must offer the source of the whole program "
            "under the same licence."
        ),
    )


ROWS = (
    _row(
        "s",
        backbone="YOLOv8s-seg",
        parameters=11_790_483,
        encoder_gmacs=51.1,
        sha256="e9034d7478a8e9d1bfb57b51592e521a253287c7cdcf79258f61ea6d68584a0d",
        size=None,
    ),
    _row(
        "x",
        backbone="YOLOv8x-seg",
        parameters=72_234_149,
        encoder_gmacs=422.6,
        sha256="c0be4e7ddbe4c15333d15a859c676d053c486d0a746a3be6a7a9790d52a9b6d7",
        size=144_943_063,
    ),
)


def build(size: str, shapes: Mapping[str, tuple[int, ...]] | None) -> tuple[nn.Module, None]:
    """The network with random weights, in eval mode, and no decoder.

    Args:
        size: "s" or "x".
        shapes: of the checkpoint's tensors, which give the number of bins; None takes the size's.

    Raises:
        CheckpointMismatch: no tensor gives the number of bins.
    """
    from edgekit.models.encoders.yolov8_seg import SIZES, YoloV8Seg

    yolo = SIZES[size]
    if shapes:
        yolo = replace(yolo, bins=_bins_in(shapes))
    return YoloV8Seg(yolo, frame=CLIENT.preprocessing.frame).eval(), None


def _bins_in(shapes: Mapping[str, tuple[int, ...]]) -> int:
    from edgekit.errors import CheckpointMismatch

    if len(shapes.get(_BINS, ())) != 4:
        raise CheckpointMismatch(
            f"The checkpoint has no tensor {_BINS}, whose length says how boxes are coded.",
            expected="a YOLOv8 segmentation model with one class, under ultralytics' names",
            next_step="edgekit detect FILE shows what the file holds",
        )
    return shapes[_BINS][1]
