"""The student: encoder and decoder on frames at full or at lower resolution."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.sam import SamDecoder
from edgekit.models.sam.layers import LayerNorm2d
from edgekit.records import Label
from edgekit.train.data.batches import Batch, encoder_input

TOKEN = 16
"""Frame pixels per image token."""


@runtime_checkable
class AnySizeEncoder(Protocol):
    """An encoder that adds its learned positions last, so that it takes frames of lower resolution
    (NanoSAM's).

    The protocol has methods only. From Python 3.12 on, isinstance looks members up with
    `inspect.getattr_static`, which does not see the parameters and submodules of an nn.Module
    (python/cpython#102433): a data member here would make every encoder fail the check.
    """

    def features(self, image: Tensor) -> Tensor:
        """Embeddings [B, C, H / 16, W / 16] without positions, for sides that 32 divides."""
        ...

    def positions(self) -> Tensor:
        """The table of positions [1, C, grid, grid]."""
        ...


class Student(nn.Module):
    """Encoder and decoder, trained together.

    Every encoder takes frames at full resolution; lower ones need an `AnySizeEncoder`.
    """

    def __init__(self, encoder: nn.Module, decoder: SamDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    @property
    def takes_any_size(self) -> bool:
        """Whether `embed` accepts frames of lower resolution."""
        return isinstance(self.encoder, AnySizeEncoder)

    def embed(self, batch: Batch) -> Tensor:
        """Embeddings [K, 256, S / 16, S / 16] of the batch's frames."""
        image = encoder_input(batch)
        if batch.zoom == 1:
            return self.encoder(image)  # type: ignore[no-any-return]
        assert isinstance(self.encoder, AnySizeEncoder)
        positions = F.avg_pool2d(self.encoder.positions(), batch.zoom)
        return self.encoder.features(image) + positions

    def decode(
        self, embeddings: Tensor, batch: Batch, previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits [K * P, 4, S / 4, S / 4] and predicted IoU [K * P, 4].

        `previous` [K * P, 1, S / 4, S / 4] are the logits of an earlier round (the mask prompt).
        Positions are computed in float32 under autocast too: bfloat16 is too coarse for the phases
        of the Fourier encoding.
        """
        prompts = self.decoder.prompt_encoder
        per_frame = batch.coords.shape[0] // embeddings.shape[0]
        with torch.autocast(embeddings.device.type, enabled=False):
            sparse = prompts.points(batch.coords, batch.labels)
            positions = _pooled(prompts.image_positions(), prompts.grid, batch.zoom)
        if previous is None:
            dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        else:
            dense = prompts.mask_downscaling(previous)
        image = embeddings.repeat_interleave(per_frame, dim=0) + dense
        empty = (batch.labels == Label.EMPTY).to(image.dtype)
        logits, iou = self._masks(image, positions, sparse, empty)
        return logits.float(), iou.float()

    def _masks(
        self, image: Tensor, positions: Tensor, sparse: Tensor, empty: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`MaskDecoder.forward` with channels last.

        The 2x2 transposed convolutions do not overlap, so they are computed as matrix products:
        oneDNN's backward pass of the convolution took a quarter of a step.
        """
        decoder = self.decoder.mask_decoder
        side = image.shape[-1]
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        own = own.unsqueeze(0).expand(sparse.shape[0], -1, -1)
        tokens = torch.cat([own, sparse], dim=1)
        bias = torch.cat([torch.zeros_like(own[..., 0]), empty * -1e4], dim=1)
        tokens, mixed = decoder.transformer(
            tokens, image.flatten(2).transpose(1, 2), positions, bias[:, None, None]
        )
        first, norm, _, second, _ = decoder.output_upscaling
        assert isinstance(norm, LayerNorm2d)
        x = _upsampled(mixed.unflatten(1, (side, side)), first)
        x = x.float()  # PyTorch 2.13 sums the gradients of a BF16 layer norm's weights in BF16
        x = F.gelu(F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, 1e-6))
        x = F.gelu(_upsampled(x, second)).flatten(1, 2)
        weights = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)],
            dim=1,
        )
        masks = (weights @ x.transpose(1, 2)).view(-1, weights.shape[1], 4 * side, 4 * side)
        return masks, decoder.iou_prediction_head(tokens[:, 0])


def _pooled(positions: Tensor, grid: int, zoom: int) -> Tensor:
    """Positions [1, grid * grid, C], each of the mean of `zoom` x `zoom` cells."""
    table = positions.transpose(1, 2).reshape(1, -1, grid, grid)
    return F.avg_pool2d(table, zoom).flatten(2).transpose(1, 2)


def _upsampled(x: Tensor, layer: nn.Module) -> Tensor:
    """Apply a 2x2 transposed convolution of stride 2: [B, H, W, C] -> [B, 2H, 2W, D]."""
    assert isinstance(layer, nn.ConvTranspose2d)
    batch, height, width, channels = x.shape
    out = layer.weight.shape[1]
    assert layer.bias is not None
    weight = layer.weight.permute(0, 2, 3, 1).reshape(channels, 4 * out)
    y = F.linear(x, weight.t(), layer.bias.repeat(4)).view(batch, height, width, 2, 2, out)
    return y.transpose(2, 3).reshape(batch, 2 * height, 2 * width, out)
