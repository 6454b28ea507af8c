"""What a proposal network learns from: rows of photos, and where the objects' centres are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgekit.records import FloatArray
from edgekit.train.data.random_numbers import Purpose
from edgekit.train.proposals.network import ProposalNet, centre_loss
from edgekit.train.stages.lesson import Lesson


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """A photo file, and its target [grid, grid] (see `centre_map`)."""

    photo: Path
    target: FloatArray


class ProposalLesson(Lesson):
    """The loss of a proposal network on a few photos at a time."""

    name = "proposals"
    rate = 4e-3
    _PHOTOS_PER_STEP = 4

    def __init__(
        self,
        rows_of: Callable[[Path], FloatArray],
        examples: Sequence[Example],
        *,
        held_out: Sequence[Example],
        seed: int,
    ) -> None:
        """A lesson with a network of seeded random numbers.

        Args:
            rows_of: the rows [grid * grid, 256] of a photo file.
            examples: to train on.
            held_out: to be measured on.
            seed: of all random choices.
        """
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = ProposalNet()
        self._rows_of, self._examples = rows_of, examples
        self._held_out, self._seed = held_out, seed

    def loss(self, step: int) -> Tensor:
        """The loss on this step's photos."""
        rng = np.random.default_rng([Purpose.PROPOSALS, self._seed, step])
        chosen = rng.integers(len(self._examples), size=self._PHOTOS_PER_STEP)
        return self._error([self._examples[index] for index in chosen])

    def held_out(self) -> dict[str, float]:
        """The same loss on held-out photos."""
        errors = [float(self._error([example])) for example in self._held_out]
        return {"proposal error": float(np.mean(errors))} if errors else {}

    def _error(self, examples: Sequence[Example]) -> Tensor:
        device = next(self.network.parameters()).device
        rows = np.stack([self._rows_of(example.photo) for example in examples])
        targets = np.stack([example.target for example in examples])
        # In float32: on a CPU with AVX-512, PyTorch 2.13's BF16 gradients of a dilated depthwise
        # convolution's weights are off by their own size, or infinite, if channels come last.
        with torch.autocast(device.type, enabled=False):
            logits = self.network(torch.from_numpy(rows).to(device))
            return centre_loss(logits, torch.from_numpy(targets).to(device))
