"""Flattens a file's content into tensors with dotted names.

A file of a few kilobytes can describe a tree that never ends, since parts may be shared. So the
walk has bounds on depth, names and number of nodes, all far beyond those of any model here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch
from edgekit.models.checkpoints.pickled_module import Inert

if TYPE_CHECKING:
    from torch import Tensor

_DEEPEST = 40
_MOST_NODES = 200_000
_MOST_TENSORS = 20_000  # RepViT-SAM, which has the most, has 1,600
_LONGEST_NAME = 500


@dataclass(slots=True)
class _Walk:
    """What is left of the bounds."""

    file: str
    nodes: int = _MOST_NODES

    def count(self, prefix: str, depth: int) -> None:
        self.nodes -= 1
        if self.nodes < 0 or depth > _DEEPEST or len(prefix) > _LONGEST_NAME:
            raise CheckpointMismatch(
                f"{self.file} is nested beyond any model: parts hold parts without end.",
                expected="a state dict, torch.save(model.state_dict(), ...)",
            )


def flatten(content: object, file: str) -> dict[str, Tensor]:
    """All tensors in nested dicts and pickled modules, by their dotted names.

    Lists and dicts without names, such as an optimizer's state, are left out: no module stores its
    weights in them.

    Args:
        content: what the file holds.
        file: its name, for the message.

    Raises:
        CheckpointMismatch: the content is deeper, longer or larger than that of any model.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in _named(content, "", 0, _Walk(file)):
        tensors[name] = tensor
        if len(tensors) > _MOST_TENSORS:
            raise CheckpointMismatch(
                f"{file} holds more than {_MOST_TENSORS:,} tensors.", expected="one model's weights"
            )
    return tensors


def _named(content: object, prefix: str, depth: int, walk: _Walk) -> Iterator[tuple[str, Tensor]]:
    import torch

    walk.count(prefix, depth)
    if isinstance(content, torch.Tensor):
        yield prefix.rstrip("."), content
    elif isinstance(content, Inert):
        for kind in ("_parameters", "_buffers", "_modules"):
            yield from _named(_saved(content, kind), prefix, depth + 1, walk)
        yield from _named(content.named, prefix, depth + 1, walk)
    elif isinstance(content, Mapping):
        for name, value in content.items():
            if isinstance(name, str):
                yield from _named(value, f"{prefix}{name}.", depth + 1, walk)


def _saved(module: Inert, kind: str) -> object:
    """Parameters, buffers or modules, without the buffers that a state dict leaves out."""
    held, passing = module.state.get(kind), module.state.get("_non_persistent_buffers_set")
    if kind != "_buffers" or not isinstance(passing, set) or not isinstance(held, Mapping):
        return held
    return {name: tensor for name, tensor in held.items() if name not in passing}
