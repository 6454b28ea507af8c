"""Feature distillation: an ImageNet classifier teaches the student's backbone stages.

Each stage is read through its own 1x1 projection and compared with the teacher's map of the same
stride, whitened per channel. The projections are thrown away with the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.train.mobilenet_v2 import TAP_CHANNELS, MobileNetV2


class StageReader:
    """Collects the outputs of named submodules while a model runs (forward hooks)."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self.outputs: dict[str, Tensor] = {}
        self._names = tuple(names)
        for name in names:
            module.get_submodule(name).register_forward_hook(self._keep(name))

    def _keep(self, name: str):  # type: ignore[no-untyped-def]
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self.outputs[name] = output

        return hook

    def take(self) -> tuple[Tensor, ...]:
        """The outputs of the last run, in the order of the names; they are let go of."""
        taken = tuple(self.outputs[name] for name in self._names)
        self.outputs.clear()
        return taken


class FeatureDistillation(nn.Module):
    """Loss between student stages (strides 4, 8, 16, 32) and the teacher's.

    Args:
        student_channels: of the four stages.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, teacher: MobileNetV2, student_channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(student_channels, TAP_CHANNELS, strict=True)
        )
        self.register_buffer("mean", torch.zeros(sum(TAP_CHANNELS)))
        self.register_buffer("deviation", torch.ones(sum(TAP_CHANNELS)))
        self._teacher = [teacher]  # a list: not a submodule, so never in checkpoints

    @torch.no_grad()
    def calibrate(self, image: Tensor) -> None:
        """Measure the teacher's channel statistics on `image` [B, 3, H, W] in [-1, 1]."""
        maps = self._teacher[0].features(image)
        self.mean.copy_(torch.cat([m.float().mean(dim=(0, 2, 3)) for m in maps]))
        self.deviation.copy_(torch.cat([m.float().std(dim=(0, 2, 3)) for m in maps]) + 1e-3)

    def forward(self, stages: Sequence[Tensor], image: Tensor, weights: Sequence[float]) -> Tensor:
        """Weighted mean squared error, 1.0 per unit weight for a student that knows nothing."""
        with torch.no_grad():
            targets = self._teacher[0].features(image)
        loss = torch.zeros(())
        first = 0
        for head, stage, target, weight in zip(self.heads, stages, targets, weights, strict=True):
            channels = slice(first, first + target.shape[1])
            first += target.shape[1]
            if weight == 0:
                continue
            mean, deviation = self.mean[channels], self.deviation[channels]
            white = (target.float() - mean[:, None, None]) / deviation[:, None, None]
            loss = loss + weight * F.mse_loss(head(stage).float(), white.clamp(-6, 6))
        return loss
