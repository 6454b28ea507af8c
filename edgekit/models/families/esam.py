"""ESAM: EfficientFormerV2 under SAM's decoder, with SAM's predictor.

The paper, "ESAM" in the survey arXiv 2410.04960, has neither code nor weights in public. It names
the backbone and a distillation; the backbone's size and the layers that join it to SAM's decoder
are ours: EfficientFormerV2-S1, near TinyViT-5M in size, and a feature pyramid (encoders/esam.py).
The backbone's four stages were compared with timm's (tests/parity/test_efficientformer.py); nothing
of the rest could be compared, and no accuracy is claimed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import ModelRow

if TYPE_CHECKING:
    from torch import nn

ROWS = (
    ModelRow(
        name="esam",
        family="esam",
        variant="efficientformerv2_s1",
        title="ESAM (EfficientFormerV2-S1 and our pyramid; from the paper, no weights are public)",
        paper="https://arxiv.org/abs/2410.04960",
        licence="none published",
        parameters=10_628_024,
        encoder_gmacs=24.7,
        builder="edgekit.models.families.esam:build",
        size="s1",
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(),
        client=SAM_CLIENT,
        status="paper",
    ),
)


def build(size: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode; `size` names EfficientFormerV2's."""
    from edgekit.models.encoders.efficientformer_v2 import SIZES
    from edgekit.models.encoders.esam import EsamEncoder
    from edgekit.models.sam import SamDecoder

    return EsamEncoder(SIZES[size]).eval(), SamDecoder().eval()
