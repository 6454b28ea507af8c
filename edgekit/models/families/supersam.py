"""SuperSAM: subnetworks of SAM ViT-B with fewer layers and narrower MLPs.

Source: arXiv 2501.08504; neither code nor weights are public. The paper gives the search space:
layers are dropped and MLPs sliced. The result is SAM's ViT with a width per layer, so a checkpoint
under SAM's names loads, and its widths are read from its tensors. Seeded weights take eight layers
with half the MLP, which is enough to measure size and speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.models.families.sam import build_vit
from edgekit.records import ModelRow

if TYPE_CHECKING:
    from torch import nn

ROWS = (
    ModelRow(
        name="supersam",
        family="supersam",
        variant="subnetwork",
        title="SuperSAM (a subnetwork of SAM ViT-B; from the paper, no weights are public)",
        paper="https://arxiv.org/abs/2501.08504",
        licence="none published",
        parameters=46_483_504,
        encoder_gmacs=278.9,
        builder="edgekit.models.families.supersam:build",
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(),
        client=SAM_CLIENT,
        widths="from_checkpoint",
        forms=("state dict", "safetensors", "pickled module"),
        status="paper",
    ),
)


def build(shapes: Mapping[str, tuple[int, ...]] | None) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode."""
    from edgekit.models.encoders.sam_vit import uniform
    from edgekit.models.encoders.sam_vit_widths import size_from_shapes

    sliced = uniform(width=768, depth=8, heads=12, hidden=1536, global_blocks=(1, 3, 5, 7))
    return build_vit(size_from_shapes(shapes) if shapes else sliced)
