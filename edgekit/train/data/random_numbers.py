"""Random numbers: a function of what they are for, of the seed and of the step."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """What random numbers are for: the first of the numbers that they follow from."""

    CHOICES = 1
    BATCHES = 2
    HELD_OUT = 3
    NECK = 5
    LESSONS = 7
    CALIBRATION = 8
    EMBEDDINGS = 11
    PROPOSALS = 13


def generator_for(*numbers: int, device: torch.device) -> torch.Generator:
    """Random numbers on a device, such as those of a seed's step: a function of `numbers` alone."""
    (state,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state))


def uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random numbers from `low` to `high`, on the generator's device."""
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)
