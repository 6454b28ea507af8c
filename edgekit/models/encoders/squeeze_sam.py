"""SqueezeSAM's network: a U-Net over the photo and the prompt's two channels.

Sources: Varadarajan et al., arXiv 2312.06736; yformer/EfficientSAM@3477a43, `squeeze_sam/`, whose
tensor names are kept. Each convolution is followed by ReLU and then by the batch norm. At the
U-Net's lowest level, SAM's two-way transformer turns five learned tokens and one zero token into
scores and into each mask's weights of the U-Net's last map.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.sam.efficient_sam_decoder import FcMlp, PositionalBlock
from edgekit.models.sam.transformer import TwoWayTransformer

CHANNELS = 5
"""Red, green, blue, the prompt's box, and its points."""

TOKENS = 4
"""Mask tokens, of which the network ignores the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeSamSize:
    """The widths of the U-Net's levels, the highest resolution first, and of the patch embedding.

    The map of a level has half the height and width of the one before.
    """

    patch: int = 64
    widths: tuple[int, ...] = (64, 128, 128, 128, 128, 164, 256, 256)

    @property
    def tokens(self) -> int:
        """Width of the tokens: that of the lowest level."""
        return self.widths[-1]


class ConvThenNorm(nn.Module):
    """3x3 convolution, ReLU, batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H, W]."""
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


class DoubleConv(nn.Module):
    """Two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            ConvThenNorm(inputs, outputs), ConvThenNorm(outputs, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H, W]."""
        return self.double_conv(x)  # type: ignore[no-any-return]


class Down(nn.Module):
    """Max pooling by two, then two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, 2H, 2W] -> [B, outputs, H, W]."""
        return self.maxpool_conv(x)  # type: ignore[no-any-return]


class MapNorm(nn.GroupNorm):
    """Group norm of one group, whose means are taken of rows, and then of their means.

    As one operator, ONNX Runtime 1.31 adds all four million squares in float32 and loses digits.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        centred = x - _mean_of_map(x)
        unit = centred * torch.rsqrt(_mean_of_map(centred * centred) + self.eps)
        return unit * self.weight[:, None, None] + self.bias[:, None, None]


def _mean_of_map(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 1, 1, 1]."""
    rows = x.mean(3).flatten(1)  # without a reshape between them, the exporter joins the two means
    return rows.mean(1, keepdim=True)[:, :, None, None]


class PatchEmbed(nn.Module):
    """Patches of 2x2 pixels, normalised over the whole map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Conv2d(CHANNELS, width, 2, stride=2), MapNorm(width))

    def forward(self, image: Tensor) -> Tensor:
        """[B, 5, 2H, 2W] -> [B, width, H, W]."""
        return self.proj(image)  # type: ignore[no-any-return]


class UnetEncoder(nn.Module):
    """The U-Net's way down."""

    def __init__(self, size: SqueezeSamSize) -> None:
        super().__init__()
        self.down_layers = nn.ModuleList(
            [
                DoubleConv(size.patch, size.widths[0]),
                *(Down(above, here) for above, here in itertools.pairwise(size.widths)),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The map of each level, the highest resolution first, from [B, patch, H, W]."""
        maps = []
        for layer in self.down_layers:
            x = layer(x)
            maps.append(x)
        return maps


class DoubleSize(nn.Module):
    """Each pixel becomes 2x2 pixels of half the channels: a linear layer, ReLU, batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.upsampler_linear = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU())
        self.norm = nn.BatchNorm2d(2 * width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> [B, width / 2, 2H, 2W]."""
        spread = self.upsampler_linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.pixel_shuffle(self.norm(spread), 2)


class Up(nn.Module):
    """The map below at twice its size, concatenated with this level's, and two convolutions."""

    def __init__(self, below: int, here: int) -> None:
        super().__init__()
        self.up = DoubleSize(below)
        self.conv = DoubleConv(below // 2 + here, here)

    def forward(self, below: Tensor, here: Tensor) -> Tensor:
        """[B, below, H, W] and [B, here, 2H, 2W] -> [B, here, 2H, 2W]."""
        return self.conv(torch.cat([here, self.up(below)], dim=1))  # type: ignore[no-any-return]


class UnetDecoder(nn.Module):
    """The U-Net's way up."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.unet_upscaling_layers = nn.ModuleList(
            Up(below, here) for below, here in itertools.pairwise(reversed(widths))
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The maps of `UnetEncoder` -> [B, widths[0], H, W], at the highest resolution."""
        *others, x = maps
        for layer, here in zip(self.unet_upscaling_layers, reversed(others), strict=True):
            x = layer(x, here)
        return x


class DetectionTransformer(nn.Module):
    """The tokens attend to the lowest map, and the map to them. The map has no positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(
            width,
            hidden=width,
            mlp=lambda outer, inner: FcMlp((outer, inner, outer), activation=nn.ReLU),
            block=PositionalBlock,
        )
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(TOKENS, width)

    def forward(self, lowest: Tensor) -> tuple[Tensor, Tensor]:
        """From [1, width, H, W]: the tokens [1, 6, width] (IoU, masks, zero) and the new map."""
        nothing = torch.zeros_like(self.iou_token.weight)
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight, nothing])
        pixels = lowest.flatten(2).transpose(1, 2)
        tokens, pixels = self.transformer(own.unsqueeze(0), pixels, nothing.unsqueeze(0))
        return tokens, torch.unflatten(pixels.transpose(1, 2), 2, lowest.shape[2:])


class MaskDecoder(nn.Module):
    """Masks and their scores from the tokens and the U-Net's last map."""

    def __init__(self, size: SqueezeSamSize) -> None:
        super().__init__()
        width = size.tokens
        self.output_hypernetworks_mlps = nn.ModuleList(
            FcMlp((width, width, width, size.widths[0]), activation=nn.ReLU) for _ in range(TOKENS)
        )
        self.iou_prediction_head = FcMlp((width, width, width, TOKENS), activation=nn.ReLU)

    def forward(self, tokens: Tensor, final: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [1, 6, width] and the map [1, C, H, W] -> masks [1, 3, H, W], scores [1, 3]."""
        iou_token, _ignored, *mask_tokens = torch.split(tokens, 1, dim=1)[: 1 + TOKENS]
        heads = zip(self.output_hypernetworks_mlps[1:], mask_tokens, strict=True)
        weights = torch.cat([head(token) for head, token in heads], dim=1)
        masks = torch.unflatten(weights @ final.flatten(2), 2, final.shape[2:])
        return masks, self.iou_prediction_head(iou_token).flatten(1)[:, 1:]


class SqueezeSam(nn.Module):
    """The whole model, run once per prompt."""

    def __init__(self, size: SqueezeSamSize) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(size.patch)
        self.unet_encoder = UnetEncoder(size)
        self.get_iou_predictions_and_mask_tokens = DetectionTransformer(size.tokens)
        self.unet_decoder = UnetDecoder(size.widths)
        self.mask_decoder = MaskDecoder(size)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Masks of one prompt.

        Args:
            image: [1, 5, S, S]: the normalised photo, the prompt's box, and its points.

        Returns:
            low_res_masks [1, 3, S / 2, S / 2] logits and iou_predictions [1, 3].
        """
        maps = self.unet_encoder(self.patch_embed(image))
        tokens, maps[-1] = self.get_iou_predictions_and_mask_tokens(maps[-1])
        return self.mask_decoder(tokens, self.unet_decoder(maps))  # type: ignore[no-any-return]
