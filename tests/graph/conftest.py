"""Small stand-ins for a model's halves, and one target."""

from __future__ import annotations

import pytest
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.records import Gate, Precision, Target

SMALL = (4, 2, 2)
"""An embedding of 4 channels on a 2 x 2 grid, so masks of 8 x 8."""


class SmallDecoder(nn.Module):
    """One mask per prompt, the sum of everything that goes in; reshapes dynamic dimensions."""

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        placed = F.gelu(point_coords * point_labels.unsqueeze(-1)).flatten(1).sum(1)
        level = image_embeddings.mean() + placed
        masks = mask_input * has_mask_input.reshape(-1, 1, 1, 1) + level.reshape(-1, 1, 1, 1)
        return masks, level.unsqueeze(-1)


@pytest.fixture(scope="session")
def small_decoder() -> nn.Module:
    return SmallDecoder()


@pytest.fixture(scope="session")
def target() -> Target:
    return Target(
        name="bench",
        device="a test",
        runtime="onnxruntime",
        runtime_versions=">=1",
        precision=Precision.FP32,
        opset=20,
        memory_mb=1024,
        gate=Gate(mean_iou=0.999, min_iou=0.99),
    )
