"""A captured decoder takes all sizes in its range, and no assertion about them is left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import GraphRejected
from edgekit.program.capture import Program, capture_decoder, image_embeddings
from edgekit.records import GraphContract

CONTRACT = GraphContract(prompts=("point_coords", "point_labels"))


class Levels(nn.Module):
    """One mask per prompt, of a level that a function of the coordinates gives."""

    def __init__(self, level: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.level = level

    def forward(
        self, image_embeddings: Tensor, point_coords: Tensor, point_labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        level = self.level(point_coords).reshape(-1, 1) + point_labels.sum(1, keepdim=True)
        return level[..., None, None] + image_embeddings[:, :1], level


def captured(level: Callable[[Tensor], Tensor]) -> Program:
    return capture_decoder(Levels(level), features=image_embeddings(4, 2, 2), contract=CONTRACT)


def first_three(coords: Tensor) -> Tensor:
    """The sum of the first points, up to three, in eight rows for each."""
    tokens = nn.functional.pad(coords, (0, 0, 2, 0))  # two of zeros come before the points
    count = tokens.shape[1]
    some = torch.eye(5, 80)[: torch.sym_min(count, 5), :count]
    return (some @ tokens.unsqueeze(1).expand(-1, 8, -1, -1)).flatten(1, 2).sum(dim=(1, 2))


def test_what_holds_for_all_sizes_is_taken_out() -> None:
    exported = captured(first_three).exported
    assert not [node for node in exported.graph.nodes if "assert_scalar" in str(node.target)]
    for points in (1, 2, 3, 4, 64):
        coords = torch.rand(5, points, 2)
        _, level = exported.module()(torch.zeros(1, 4, 2, 2), coords, torch.zeros(5, points))
        torch.testing.assert_close(level[:, 0], 8 * coords[:, :3].sum(dim=(1, 2)))


def test_what_fails_for_some_size_is_rejected() -> None:
    def thirds(coords: Tensor) -> Tensor:
        return coords.reshape(coords.shape[0], 3, -1).sum(dim=(1, 2))

    with pytest.raises(
        GraphRejected, match=r"(?s)is false for .* = 1.*Expected: a decoder for any"
    ):
        captured(thirds)
