"""MobileNetV2 1.0 (ImageNet) as a feature teacher, from an .npz file.

The file has `cK.w` [out, in / groups, kh, kw] and `cK.b` of the 53 convolutions in order of
execution, with batch norm folded in (google-coral test data, Apache-2.0). The graph is that of
Sandler et al. 2018, table 2, with ReLU6, inputs scaled to [-1, 1] and TensorFlow's SAME padding,
which at stride 2 pads the bottom and right first.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.errors import BadInput

_STAGES = (  # expansion, channels, blocks, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_TAPS = (1, 2, 4, 6)
"""The stages whose outputs are taught, at strides 4, 8, 16 and 32."""

TAP_CHANNELS = tuple(_STAGES[stage][1] for stage in _TAPS)


class _Conv(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor, *, stride: int, relu: bool) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.stride, self.relu = stride, relu
        self.groups = weight.shape[0] if weight.shape[1] == 1 and weight.shape[2] > 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.shape[2] == 3:
            x = F.pad(x, (1, 1, 1, 1) if self.stride == 1 else (0, 1, 0, 1))
        y = F.conv2d(x, self.weight, self.bias, stride=self.stride, groups=self.groups)
        return y.clamp(0, 6) if self.relu else y


class MobileNetV2(nn.Module):
    """A frozen classifier; `features` gives the outputs of its stages."""

    def __init__(self, weights: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        queue = iter(weights)
        self.stem = _Conv(*next(queue), stride=2, relu=True)
        self.stages = nn.ModuleList()
        for expansion, _, blocks, stride in _STAGES:
            stage = nn.ModuleList()
            for index in range(blocks):
                convs = [_Conv(*next(queue), stride=1, relu=True)] if expansion > 1 else []
                convs.append(_Conv(*next(queue), stride=stride if index == 0 else 1, relu=True))
                convs.append(_Conv(*next(queue), stride=1, relu=False))
                stage.append(nn.Sequential(*convs))
            self.stages.append(stage)
        self.head = _Conv(*next(queue), stride=1, relu=True)
        self.classifier = _Conv(*next(queue), stride=1, relu=False)
        self.requires_grad_(False).eval()

    def _stage_outputs(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image)
        outputs = []
        for stage in self.stages:
            for index, block in enumerate(stage.children()):
                x = block(x) if index == 0 else x + block(x)
            outputs.append(x)
        return outputs

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """Maps at strides 4, 8, 16, 32 of `image` [B, 3, H, W] in [-1, 1], its sides / 32 whole."""
        outputs = self._stage_outputs(image)
        return tuple(outputs[stage] for stage in _TAPS)

    def forward(self, image: Tensor) -> Tensor:
        """Class logits [B, 1001] (0 is the background class)."""
        pooled = self.head(self._stage_outputs(image)[-1]).mean(dim=(2, 3), keepdim=True)
        logits: Tensor = self.classifier(pooled).flatten(1)
        return logits


def load_mobilenet_v2(path: Path) -> MobileNetV2:
    """Load the classifier.

    Raises:
        BadInput: the file is not an .npz with these weights.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            weights = [
                (
                    torch.from_numpy(arrays[f"c{i}.w"]).float(),
                    torch.from_numpy(arrays[f"c{i}.b"]).float(),
                )
                for i in range(53)
            ]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{path} cannot be read as MobileNetV2 weights ({error}).",
            expected="an .npz with c0.w, c0.b ... c52.w, c52.b",
        ) from error
    return MobileNetV2(weights)
