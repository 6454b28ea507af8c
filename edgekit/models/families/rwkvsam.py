"""RWKV-SAM: convolutions and RWKV blocks under a decoder that also sees their finer maps.

Sources: Yuan et al., arXiv 2406.19369; HarborYuan/ovsam, projects/rwkvsam. The weights were never
released. Upstream's one configuration trains the encoder alone; encoder and decoder are joined as
its detector does. Every point is foreground, a mask is no prompt, and the decoder has one mask.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import EverythingRule, GraphContract, MaskChoice, ModelRow

if TYPE_CHECKING:
    from torch import nn

ONE_MASK = MaskChoice(masks=(0,))

CLIENT = replace(
    SAM_CLIENT,
    prompts=replace(SAM_CLIENT.prompts, refuses=("background_point", "mask", "multimask")),
    masks=replace(SAM_CLIENT.masks, single=ONE_MASK, multimask=ONE_MASK),
    everything=EverythingRule(choice=ONE_MASK),
)

ROWS = (
    ModelRow(
        name="rwkvsam",
        family="rwkv-sam",
        variant="vitamin_small",
        title="RWKV-SAM (ViTamin-S; no weights are public)",
        paper="https://arxiv.org/abs/2406.19369",
        licence="S-Lab-1.0 (non-commercial)",
        parameters=24_242_480,
        encoder_gmacs=125.4,
        builder="edgekit.models.families.rwkvsam:build",
        encoder_prefix="",
        unused_keys=(),
        checkpoints=(),
        client=CLIENT,
        graph=GraphContract(
            features=("image_embeddings", "high_res_features"),
            prompts=("point_coords", "point_labels"),
        ),
        warning=(
            "RWKV-SAM's code is under the S-Lab License 1.0, which allows non-commercial use only. "
            "Weights trained with it would bind everyone who uses or passes on a bundle made from "
            "them."
        ),
    ),
)


def build() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.rwkv_sam import RwkvSamEncoder
    from edgekit.models.sam.rwkv_sam_decoder import RwkvSamDecoder

    return RwkvSamEncoder().eval(), RwkvSamDecoder().eval()
