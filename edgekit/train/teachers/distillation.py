"""Feature distillation: an ImageNet classifier teaches the stages of the student's backbone.

A 1x1 projection of each stage is compared with the teacher's map of the same stride, whitened per
channel. The projections are discarded after training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.train.teachers.efficientnet_lite2 import TAP_CHANNELS, EfficientNetLite2

BACKBONE_STAGES = ("backbone.layer1", "backbone.layer2", "backbone.layer3", "backbone.layer4")
"""The encoder's submodules that learn (NanoSAM's ResNet18), at strides 4, 8, 16 and 32."""

STAGE_WEIGHTS = (0.5, 0.7, 1.0, 1.0)


@contextmanager
def stage_outputs(module: nn.Module, names: Sequence[str]) -> Iterator[list[Tensor]]:
    """Collect the outputs of named submodules, in the order they run, within the context."""
    outputs: list[Tensor] = []

    def collect(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs.append(output)

    hooks = [module.get_submodule(name).register_forward_hook(collect) for name in names]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


class FeatureDistillation(nn.Module):
    """The loss between the student's stages (strides 4, 8, 16, 32) and the teacher's.

    Args:
        teacher: frozen.
        student_channels: the widths of the four stages.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, teacher: EfficientNetLite2, student_channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Conv2d(a, b, 1) for a, b in zip(student_channels, TAP_CHANNELS, strict=True)
        )
        self.register_buffer("mean", torch.zeros(sum(TAP_CHANNELS)))
        self.register_buffer("deviation", torch.ones(sum(TAP_CHANNELS)))
        # The bound method, not the module: a submodule would be saved in every checkpoint.
        self._teacher_maps: Callable[[Tensor], tuple[Tensor, ...]] = teacher.features

    @torch.no_grad()
    def calibrate(self, rgb: Tensor) -> None:
        """Measure the teacher's channel statistics on `rgb` [B, 3, H, W] in 0-255."""
        maps = self._teacher_maps(rgb)
        self.mean.copy_(torch.cat([m.float().mean(dim=(0, 2, 3)) for m in maps]))
        self.deviation.copy_(torch.cat([m.float().std(dim=(0, 2, 3)) for m in maps]) + 1e-3)

    def forward(self, stages: Sequence[Tensor], rgb: Tensor) -> Tensor:
        """The weighted mean squared error; about the sum of the weights for an untrained student.

        Args:
            stages: the student's outputs for `rgb`.
            rgb: [B, 3, H, W] in 0-255.
        """
        with torch.no_grad():
            targets = self._teacher_maps(rgb)
        loss = torch.zeros((), device=rgb.device)
        first = 0
        for head, stage, target, weight in zip(
            self.heads, stages, targets, STAGE_WEIGHTS, strict=True
        ):
            channels = slice(first, first + target.shape[1])
            first += target.shape[1]
            mean, deviation = self.mean[channels], self.deviation[channels]
            white = (target.float() - mean[:, None, None]) / deviation[:, None, None]
            loss = loss + weight * F.mse_loss(head(stage).float(), white.clamp(-6, 6))
        return loss
