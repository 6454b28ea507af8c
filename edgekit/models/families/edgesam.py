"""EdgeSAM: RepViT-M1 under SAM's decoder, with SAM's predictor.

Sources: Zhou et al., arXiv 2312.06660; chongzhou96/EdgeSAM. The IoU head was not distilled, so
upstream can score masks by their stability instead, as the mask choice named "stability" does here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import CheckpointFile, EverythingRule, MaskChoice, ModelRow

if TYPE_CHECKING:
    from torch import nn

LICENCE = "S-Lab-1.0 (non-commercial)"

CLIENT = replace(
    SAM_CLIENT,
    masks=replace(
        SAM_CLIENT.masks,
        others=(MaskChoice(name="stability", masks=(0, 1, 2, 3), stability_offset=1.0),),
    ),
    # Its own scores would be those of the IoU head, so masks are ranked by stability instead.
    everything=EverythingRule(
        choice=MaskChoice(masks=(1, 2, 3), stability_offset=1.0), predicted_iou=0.0
    ),
)


def _row(*, name: str, variant: str, title: str, filename: str, sha256: str) -> ModelRow:
    return ModelRow(
        name=name,
        family="edgesam",
        variant=variant,
        title=title,
        paper="https://arxiv.org/abs/2312.06660",
        licence=LICENCE,
        parameters=9_582_112,
        encoder_gmacs=20.1,
        builder="edgekit.models.families.edgesam:build",
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(
            CheckpointFile(
                filename=filename,
                url=f"https://huggingface.co/chongzhou/EdgeSAM/resolve/main/{filename}",
                sha256=sha256,
                bytes=38_807_540,
                licence=LICENCE,
            ),
        ),
        client=CLIENT,
        warning=(
            "EdgeSAM's weights are under the S-Lab License 1.0, which allows non-commercial use "
            "only. It also binds everyone who uses or passes on a bundle made from them."
        ),
    )


ROWS = (
    _row(
        name="edgesam",
        variant="m1",
        title="EdgeSAM (RepViT-M1)",
        filename="edge_sam.pth",
        sha256="439b086a20ab6fba90c12cba32e0001ba3aa726da5791ff8738acdd440330991",
    ),
    _row(
        name="edgesam_3x",
        variant="m1-3x",
        title="EdgeSAM, trained three times as long (RepViT-M1)",
        filename="edge_sam_3x.pth",
        sha256="5a3e3261da9e2f4c8154410885689ae57d09cbf4cf5d0c848b9d80b6df336ece",
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.edge_sam import EdgeSamEncoder
    from edgekit.models.sam import SamDecoder

    return EdgeSamEncoder().eval(), SamDecoder().eval()
