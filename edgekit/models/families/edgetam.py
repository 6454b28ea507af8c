"""EdgeTAM's image path: RepViT-M1 under SAM 2's neck and decoder, with SAM 2's predictor.

Sources: Zhou et al., arXiv 2501.07256; facebookresearch/EdgeTAM. The video path (a perceiver over
memories) is not exported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.families.sam2 import CLIENT, GRAPH, VIDEO_KEYS
from edgekit.records import CheckpointFile, ModelRow

if TYPE_CHECKING:
    from torch import nn

ROWS = (
    ModelRow(
        name="edgetam",
        family="edgetam",
        variant="repvit_m1",
        title="EdgeTAM (RepViT-M1)",
        paper="https://arxiv.org/abs/2501.07256",
        licence="Apache-2.0",
        parameters=13_895_794,
        encoder_gmacs=19.4,
        builder="edgekit.models.families.edgetam:build",
        encoder_prefix="",
        unused_keys=(*VIDEO_KEYS, "spatial_perceiver."),
        checkpoints=(
            CheckpointFile(
                filename="edgetam.pt",
                url="https://github.com/facebookresearch/EdgeTAM/raw/main/checkpoints/edgetam.pt",
                sha256="ed2d4850b8792c239689b043c47046ec239b6e808a3d9b6ae676c803fd8780df",
                bytes=56_116_523,
                licence="Apache-2.0",
            ),
        ),
        client=CLIENT,
        graph=GRAPH,
        forms=("state dict", "safetensors", "transformers"),
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.edge_tam import WIDTHS, RepVitTrunk
    from edgekit.models.encoders.fpn import FpnNeck
    from edgekit.models.encoders.sam2 import Sam2Encoder
    from edgekit.models.sam.sam2_decoder import Sam2Decoder

    return Sam2Encoder(RepVitTrunk(), FpnNeck(WIDTHS)).eval(), Sam2Decoder().eval()
