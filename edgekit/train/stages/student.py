"""The student on windows: positional tables cropped to where each window lies in the frame."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.sam import SamDecoder
from edgekit.models.sam.layers import LayerNorm2d
from edgekit.records import Label
from edgekit.train.data.batches import Batch, normalised

TOKEN = 16
"""Frame pixels per image token."""


@runtime_checkable
class WindowEncoder(Protocol):
    """An encoder whose positions come last and can be cropped, as NanoSAM's."""

    pos_embedding: nn.Parameter

    def features(self, image: Tensor) -> Tensor:
        """Embeddings without positions, of any size that the stride divides."""
        ...


class Student(nn.Module):
    """Encoder and decoder trained together.

    Any encoder takes whole frames; windows need a `WindowEncoder`.
    """

    def __init__(self, encoder: nn.Module, decoder: SamDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    @property
    def takes_windows(self) -> bool:
        """Whether `embed` works on less than a whole frame."""
        return isinstance(self.encoder, WindowEncoder)

    def embed(self, batch: Batch) -> Tensor:
        """[K, 256, S / 16, S / 16] embeddings of the batch's windows."""
        image = normalised(batch)
        if batch.zoom == 1 and image.shape[-1] == self.decoder.prompt_encoder.frame:
            return self.encoder(image)  # type: ignore[no-any-return]
        assert isinstance(self.encoder, WindowEncoder)
        features = self.encoder.features(image)
        table = self.encoder.pos_embedding[0].permute(1, 2, 0)
        positions = self._crops(table, batch).transpose(1, 2)
        return features + positions.reshape(features.shape)

    def _crops(self, table: Tensor, batch: Batch) -> Tensor:
        """[grid, grid, C] -> [K, tokens, C], each window's cells, row by row.

        A zoomed-out window's cells are the means of those they cover.
        """
        side = batch.rgb.shape[-1] // TOKEN
        if batch.zoom > 1:
            table = F.avg_pool2d(table.permute(2, 0, 1), batch.zoom).permute(1, 2, 0)
        crops = []
        for left, top in (batch.corners // TOKEN).tolist():
            crops.append(table[top : top + side, left : left + side].flatten(0, 1))
        return torch.stack(crops)

    def decode(
        self, embeddings: Tensor, batch: Batch, previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits [K * P, 4, S / 4, S / 4] and predicted IoU [K * P, 4].

        `previous` [K * P, 1, S / 4, S / 4] are the logits of an earlier round (the mask prompt).
        Positions are computed in float32 whatever the autocast: bfloat16 phases point elsewhere.
        """
        prompts = self.decoder.prompt_encoder
        per_window = batch.coords.shape[0] // embeddings.shape[0]
        with torch.autocast(embeddings.device.type, enabled=False):
            sparse = prompts.points(batch.coords, batch.labels)
            table = prompts.image_positions().reshape(prompts.grid, prompts.grid, -1)
            positions = self._crops(table, batch).repeat_interleave(per_window, dim=0)
        if previous is None:
            dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        else:
            dense = prompts.mask_downscaling(previous)
        image = embeddings.repeat_interleave(per_window, dim=0) + dense
        empty = (batch.labels == Label.EMPTY).to(image.dtype)
        logits, iou = self._masks(image, positions, sparse, empty)
        return logits.float(), iou.float()

    def _masks(
        self, image: Tensor, positions: Tensor, sparse: Tensor, empty: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`MaskDecoder.forward`, channels last.

        Its 2x2 transposed convolutions do not overlap, so they are matrix products; oneDNN's
        backward of the convolution took a quarter of a step.
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
        x = _doubled(mixed.unflatten(1, (side, side)), first)
        x = F.gelu(F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, 1e-6))
        x = F.gelu(_doubled(x, second)).flatten(1, 2)
        weights = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)],
            dim=1,
        )
        masks = (weights @ x.transpose(1, 2)).view(-1, weights.shape[1], 4 * side, 4 * side)
        return masks, decoder.iou_prediction_head(tokens[:, 0])


def _doubled(x: Tensor, layer: nn.Module) -> Tensor:
    """A 2x2 transposed convolution of stride 2 on [B, H, W, C] -> [B, 2H, 2W, D]."""
    assert isinstance(layer, nn.ConvTranspose2d)
    batch, height, width, channels = x.shape
    out = layer.weight.shape[1]
    assert layer.bias is not None
    weight = layer.weight.permute(0, 2, 3, 1).reshape(channels, 4 * out)
    y = F.linear(x, weight.t(), layer.bias.repeat(4)).view(batch, height, width, 2, 2, out)
    return y.transpose(2, 3).reshape(batch, 2 * height, 2 * width, out)
