"""PyTorch modules as sessions: the reference that every exported file is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.checkpoints.fit import Split
from edgekit.records import Feeds, FloatArray, GraphContract, Role, Session

if TYPE_CHECKING:
    from torch import nn


class TorchSession:
    """A module behind the `Session` protocol, run in float32 on the CPU."""

    def __init__(self, module: nn.Module, role: Role, contract: GraphContract) -> None:
        self._module = module
        self._inputs = contract.inputs(role)
        self._outputs = contract.outputs(role)

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run the module in inference mode; the result has one array per output name."""
        import torch

        with torch.inference_mode():
            result = self._module(*(torch.from_numpy(feeds[name]) for name in self._inputs))
        tensors = result if isinstance(result, tuple) else (result,)
        return {name: tensor.numpy() for name, tensor in zip(self._outputs, tensors, strict=True)}


def reference_sessions(split: Split) -> tuple[Session, ...]:
    """One session per graph of the PyTorch model: the encoder's, then the decoder's if any."""
    return tuple(
        TorchSession(module, role, split.row.graph) for role, module in split.modules.items()
    )
