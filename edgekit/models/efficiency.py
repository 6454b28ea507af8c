"""How light a model is beside SAM ViT-H, as surveys of efficient models sum it up."""

from __future__ import annotations

from edgekit.models import registry
from edgekit.records import ModelRow

REFERENCE = "sam_vit_h"


def efficient_error_rate(row: ModelRow) -> float:
    """The mean of a model's shares of SAM ViT-H's parameters and encoder work: 1 for ViT-H itself.

    The measure is that of Papa et al. (arXiv 2309.02031): the mean, over several costs, of a
    model's cost divided by a reference's. Lower is lighter; it says nothing of masks.
    """
    reference = registry.model(REFERENCE)
    shares = (
        row.parameters / reference.parameters,
        row.encoder_gmacs / reference.encoder_gmacs,
    )
    return sum(shares) / len(shares)
