"""The device that training runs on, and the precision that its steps compute in."""

from __future__ import annotations

import torch

from edgekit.runtimes.cpu import lacks

# PyTorch 2.13 emulates BF16 on CPUs without these instructions, many times slower than float32.
_BF16_FEATURES = ("avx512_bf16", "amx_bf16", "bf16")


def training_device() -> torch.device:
    """The GPU if PyTorch can use one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def frames_per_step(device: torch.device) -> int:
    """How many frames at full resolution a step takes by default; 16 fit 24 GB of a GPU."""
    return 1 if device.type == "cpu" else 16


def computes_in_bf16(device: torch.device) -> bool:
    """Whether training computes in BF16: on a GPU, and on a CPU that has instructions for it."""
    return device.type != "cpu" or not lacks(_BF16_FEATURES)


def step_autocast(device: torch.device) -> torch.autocast:
    """The context of a step's forward pass: BF16 where that is fast, float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bf16(device))
