"""SAM: ViT-B, ViT-L and ViT-H.

Sources: Kirillov et al., arXiv 2304.02643; facebookresearch/segment-anything. SAMfast
(pytorch-labs/segment-anything-fast) runs the same weights through the same network with faster
kernels. An exported graph has kernels of its own, so SAMfast's row is SAM's under another name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import CheckpointFile, ModelRow

if TYPE_CHECKING:
    from torch import nn

    from edgekit.models.encoders.sam_vit import VitSize

_HOST = "https://dl.fbaipublicfiles.com/segment_anything"


def _row(
    letter: str, *, parameters: int, encoder_gmacs: float, suffix: str, sha256: str, size: int
) -> ModelRow:
    filename = f"sam_vit_{letter}_{suffix}.pth"
    return ModelRow(
        name=f"sam_vit_{letter}",
        family="sam",
        variant=f"vit_{letter}",
        title=f"SAM (ViT-{letter.upper()})",
        paper="https://arxiv.org/abs/2304.02643",
        licence="Apache-2.0",
        parameters=parameters,
        encoder_gmacs=encoder_gmacs,
        builder="edgekit.models.families.sam:build",
        size=letter,
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(
            CheckpointFile(
                filename=filename,
                url=f"{_HOST}/{filename}",
                sha256=sha256,
                bytes=size,
                licence="Apache-2.0",
            ),
        ),
        client=SAM_CLIENT,
        forms=("state dict", "safetensors", "transformers"),
    )


VIT_B = _row(
    "b",
    parameters=93_735_472,
    encoder_gmacs=486.0,
    suffix="01ec64",
    sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    size=375_042_383,
)
VIT_L = _row(
    "l",
    parameters=312_342_832,
    encoder_gmacs=1492.8,
    suffix="0b3195",
    sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    size=1_249_524_607,
)
VIT_H = _row(
    "h",
    parameters=641_090_608,
    encoder_gmacs=2980.5,
    suffix="4b8939",
    sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    size=2_564_550_879,
)

ROWS = (
    VIT_B,
    VIT_L,
    VIT_H,
    replace(
        VIT_B,
        name="samfast_vit_b",
        family="samfast",
        title="SAMfast (ViT-B): the weights and the network of sam_vit_b",
        paper="https://github.com/pytorch-labs/segment-anything-fast",
    ),
)


def build(size: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode; `size` is "b", "l" or "h"."""
    from edgekit.models.encoders.sam_vit import SIZES

    return build_vit(SIZES[size])


def build_vit(size: VitSize) -> tuple[nn.Module, nn.Module]:
    """A ViT of any size under SAM's decoder, with random weights, in eval mode."""
    from edgekit.models.encoders.sam_vit import SamVitEncoder
    from edgekit.models.sam import SamDecoder

    return SamVitEncoder(size).eval(), SamDecoder().eval()
