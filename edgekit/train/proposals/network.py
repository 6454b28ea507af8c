"""The proposal network in PyTorch, to be trained; `runtime.proposals.network` describes it."""

from __future__ import annotations

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.records import FloatArray
from edgekit.runtime.proposals.network import CHANNELS, DILATIONS, EPSILON, WIDTH

_RARE = -4.6
"""The first bias of the confidence: one cell in a hundred is a centre (arXiv 1708.02002, 4.1)."""


class ProposalNet(nn.Module):
    """The rows of an encoded photo -> the logit of each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(CHANNELS, WIDTH, 1)
        self.blocks = nn.ModuleList(_Block(dilation) for dilation in DILATIONS)
        self.head = nn.Conv2d(WIDTH, 1, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, _RARE)

    def forward(self, rows: Tensor) -> Tensor:
        """[B, grid * grid, CHANNELS] -> [B, grid, grid]."""
        grid = isqrt(rows.shape[1])
        rows = F.layer_norm(rows, (CHANNELS,), eps=EPSILON)
        image = rows.transpose(1, 2).reshape(-1, CHANNELS, grid, grid)
        image = torch.relu(self.squeeze(image))
        for block in self.blocks:
            image = image + block(image)
        logits: Tensor = self.head(image)[:, 0]
        return logits

    def arrays(self) -> dict[str, FloatArray]:
        """The tensors as `ProposalNetwork` takes them."""
        return {name: tensor.cpu().float().numpy() for name, tensor in self.state_dict().items()}


class _Block(nn.Module):
    """Looks at 3 x 3 cells, `dilation` apart, then mixes the channels."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation, groups=WIDTH)
        self.mix = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, image: Tensor) -> Tensor:
        """[B, WIDTH, grid, grid] -> the same."""
        return self.mix(torch.relu(self.near(image)))  # type: ignore[no-any-return]


def centre_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The penalty-reduced focal loss of arXiv 1904.07850, section 3, per centre.

    Args:
        logits: [B, grid, grid].
        targets: [B, grid, grid], 1 at a centre, 0 to 1 elsewhere, negative where nothing is known.
    """
    sure, centres = torch.sigmoid(logits), targets == 1
    found = (1 - sure) ** 2 * F.logsigmoid(logits) * centres
    elsewhere = (targets >= 0) & ~centres
    quiet = (1 - targets.clamp(0, 1)) ** 4 * sure**2 * F.logsigmoid(-logits) * elsewhere
    loss: Tensor = -(found + quiet).sum() / centres.sum().clamp(min=1)
    return loss
