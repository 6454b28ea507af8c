"""SAM-HQ's encoder graph: an image encoder and the photo's features for the fine mask.

Sources: Ke et al., arXiv 2306.01567; SysCV/sam-hq, whose tensor names are kept. Upstream's mask
decoder compresses an early map of the encoder and the embeddings again for every prompt. Both
depend on the photo only, so this graph does it once.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from edgekit.models.sam.layers import LayerNorm2d


class EarlyEncoder(Protocol):
    """An image encoder that also returns an early map."""

    def embed_with_early_map(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [B, 256, H, W] and an early map [B, C, H, W]."""
        ...


class PhotoFeatures(nn.Module):
    """The mask decoder's layers that depend on the photo only, under upstream's names."""

    def __init__(self, early_width: int, dim: int = 256) -> None:
        super().__init__()
        self.compress_vit_feat = _upsample_4x(early_width, dim, dim // 8)
        self.embedding_encoder = _upsample_4x(dim, dim // 4, dim // 8)

    def forward(self, embeddings: Tensor, early: Tensor) -> Tensor:
        """[B, dim, H, W] and [B, C, H, W] -> [B, dim / 8, 4H, 4W]."""
        compressed = self.compress_vit_feat(early)
        return self.embedding_encoder(embeddings) + compressed  # type: ignore[no-any-return]


def _upsample_4x(in_channels: int, hidden: int, channels: int) -> nn.Sequential:
    """[B, in, H, W] -> [B, channels, 4H, 4W]."""
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, hidden, 2, stride=2),
        LayerNorm2d(hidden),
        nn.GELU(),
        nn.ConvTranspose2d(hidden, channels, 2, stride=2),
    )


class HqEncoder(nn.Module):
    """`image` -> `image_embeddings` [B, 256, 64, 64] and `hq_features` [B, 32, 256, 256]."""

    def __init__(self, image_encoder: EarlyEncoder, *, early_width: int) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.mask_decoder = PhotoFeatures(early_width)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Embed a normalised, padded photo."""
        embeddings, early = self.image_encoder.embed_with_early_map(image)
        return embeddings, self.mask_decoder(embeddings, early)
