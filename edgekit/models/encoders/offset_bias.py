"""A learned bias per distance between two tokens, for the attention of TinyViT and its like.

Sources: Graham et al., arXiv 2104.01136 (LeViT); timm and ChaoningZhang/MobileSAM, whose tensor
name `attention_biases` is kept.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


class OffsetBias(nn.Module):
    """An attention's table of biases; subclasses add what `bias` returns to their scores.

    The keys are `side` x `side` tokens, and the queries every `stride`-th of them. Upstream gathers
    the bias when `eval()` is called, and the cached bias goes stale if weights are loaded later.
    Here every call gathers it, or `bake` does once.
    """

    index: Tensor

    def __init__(self, *, heads: int, side: int, stride: int = 1) -> None:
        super().__init__()
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))
        self.register_buffer("index", bias_index(side, stride=stride), persistent=False)
        self._bias: Tensor | None = None

    def bias(self) -> Tensor:
        """[heads, queries, keys]."""
        return self._bias if self._bias is not None else self.attention_biases[:, self.index]

    def bake(self) -> None:
        """Turn the gathered bias into a constant. Call it on a copy, before capture."""
        gathered = self.bias().detach()
        del self._bias
        self.register_buffer("_bias", gathered, persistent=False)


def bias_index(side: int, *, stride: int = 1) -> Tensor:
    """The column of `attention_biases` for each query and key, [queries, keys] int64.

    The table holds one bias per absolute offset (|dy|, |dx|), row by row.
    """
    keys = torch.tensor(list(itertools.product(range(side), repeat=2)))
    queries = torch.tensor(list(itertools.product(range(0, side, stride), repeat=2)))
    offset = (queries[:, None] - keys[None]).abs()
    return offset[..., 0] * side + offset[..., 1]
