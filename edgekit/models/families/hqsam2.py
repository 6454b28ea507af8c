"""HQ-SAM 2, the image path: SAM 2.1 (Hiera-L) with one more, finer mask.

Sources: Ke et al., arXiv 2306.01567; SysCV/sam-hq, sam-hq2, with `SAM2ImagePredictor`. Every mask
that the predictor returns has the fine mask added; the mask choice named "hq_only" returns the fine
mask alone. The encoder is SAM 2.1's, which an oracle of `sam2.1_hiera_l` covers. No oracle of the
whole model exists: the decoder was compared with upstream's numbers on a small grid
(tests/models/test_hq2.py), and names and shapes with its tensors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.models.families import sam2
from edgekit.records import CheckpointFile, MaskChoice, StableMask

if TYPE_CHECKING:
    from torch import nn

_LARGE = next(row for row in sam2.ROWS if row.name == "sam2.1_hiera_l")
CLIENT = replace(
    sam2.CLIENT,
    masks=replace(
        sam2.CLIENT.masks,
        single=MaskChoice(
            masks=(1, 2, 3),
            keep="best",
            unless_stable=StableMask(index=0, offset=0.05, threshold=0.98, measured=5),
        ),
        others=(MaskChoice(name="hq_only", masks=(4,)),),
    ),
)

ROWS = (
    replace(
        _LARGE,
        name="hqsam2.1_hiera_l",
        family="hq-sam2",
        title="HQ-SAM 2 (Hiera-L)",
        paper="https://arxiv.org/abs/2306.01567",
        parameters=224_623_794,
        builder="edgekit.models.families.hqsam2:build",
        size=None,
        checkpoints=(
            CheckpointFile(
                filename="sam2.1_hq_hiera_large.pt",
                url="https://huggingface.co/lkeab/hq-sam/resolve/main/sam2.1_hq_hiera_large.pt",
                sha256=None,
                bytes=None,
                licence="Apache-2.0",
            ),
        ),
        client=CLIENT,
        forms=("state dict", "safetensors"),
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.sam.hq2_decoder import Hq2Decoder

    encoder, _ = sam2.build("l")
    return encoder, Hq2Decoder().eval()
