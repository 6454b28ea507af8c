"""SAM-HQ's decoder: SAM's, with one more token for a finer mask.

Sources: Ke et al., arXiv 2306.01567; SysCV/sam-hq, whose tensor names are kept. Upstream adds the
fine mask's logits to the one mask that it returns. Here all four of SAM's masks have them added, so
that the client chooses as in any family, and the fine mask alone comes fifth. The layers that
depend on the photo only, `compress_vit_feat` and `embedding_encoder`, are in the encoder graph
(hq.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.models.sam.layers import LayerNorm2d, Mlp
from edgekit.models.sam.mask_decoder import MaskDecoder
from edgekit.models.sam.photo_side import PHOTO_MAPS, PROMPTS, PhotoMaps, PhotoSide, takes
from edgekit.models.sam.prompt_encoder import PromptEncoder, Prompts
from edgekit.models.sam.token_side import TokenSide, masks_from_rows


class HqMaskDecoder(MaskDecoder):
    """SAM's mask decoder, with a token, an MLP and two convolutions for the fine mask."""

    def __init__(self, dim: int = 256) -> None:
        super().__init__(dim)
        channels = dim // 8
        self.hf_token = nn.Embedding(1, dim)
        self.hf_mlp = Mlp((dim, dim, dim, channels))
        self.embedding_maskfeature = mask_feature_layers(channels)

    def output_tokens(self) -> Tensor:
        """[6, dim]: the IoU token, one token per mask, then the fine mask's."""
        return torch.cat([super().output_tokens(), self.hf_token.weight])

    def fine_mask_weights(self, tokens: Tensor) -> Tensor:
        """The fine mask's weights of its features, [B, 1, dim / 8], from the tokens [B, T, dim]."""
        place = 1 + self.mask_tokens.num_embeddings
        return self.hf_mlp(tokens[:, place]).unsqueeze(1)  # type: ignore[no-any-return]

    def answers(self, tokens: Tensor, masks: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """Both results, from the masks [B, 4, 4H, 4W] and the fine mask [B, 1, 4H, 4W].

        The fine mask has no score of its own. Upstream returns it in place of the best of masks 1
        to 3, so it gets that mask's score.
        """
        (iou,) = self.scores(tokens)
        best = iou[:, 1:].amax(dim=1, keepdim=True)
        return torch.cat([masks + fine, fine], dim=1), torch.cat([iou, best], dim=1)


class HqDecoder(nn.Module):
    """`SamDecoder` with a fine mask as the fifth."""

    def __init__(self, *, frame: int = 1024, grid: int = 64) -> None:
        super().__init__()
        self.prompt_encoder = PromptEncoder(grid=grid, frame=frame)
        self.mask_decoder = HqMaskDecoder()

    def forward(
        self,
        image_embeddings: Tensor,
        hq_features: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Masks for B prompts.

        Args:
            image_embeddings: [1, 256, 64, 64], of one photo.
            hq_features: [1, 32, 256, 256], of the same photo.
            point_coords: [B, N, 2], x and y in the 1024 frame.
            point_labels: [B, N], codes of `records.Label`; EMPTY slots have no influence.
            mask_input: [B, 1, 256, 256] logits.
            has_mask_input: [B], 1 or 0.

        Returns:
            low_res_masks [B, 5, 256, 256], logits of SAM's four masks with the fine mask added,
            then of the fine mask alone; and iou_predictions [B, 5].
        """
        prompts = Prompts(point_coords, point_labels, mask_input, has_mask_input)
        encoder, decoder = self.prompt_encoder, self.mask_decoder
        tokens, mixed = decoder.transform(
            image_embeddings + encoder.dense(prompts.masks, prompts.has_mask),
            encoder.image_positions(),
            encoder.points(prompts.coords, prompts.labels),
            prompts.empty(),
        )
        upscaled = decoder.upscale(mixed, None)
        features = decoder.embedding_maskfeature(upscaled) + hq_features
        size = upscaled.shape[2:]
        masks = torch.unflatten(decoder.mask_weights(tokens) @ upscaled.flatten(2), 2, size)
        fine = torch.unflatten(decoder.fine_mask_weights(tokens) @ features.flatten(2), 2, size)
        return decoder.answers(tokens, masks, fine)

    def exported_form(self) -> nn.Module:
        """The form that is exported: the same function, with the photo's work in the encoder."""
        return HqTokenSide(self.prompt_encoder, self.mask_decoder)


class HqPhotoSide(PhotoSide):
    """`PhotoSide` with the features of the fine mask, which stay as they are."""

    names = (*PHOTO_MAPS, "hq_features")

    def forward(  # type: ignore[override]
        self, image_embeddings: Tensor, hq_features: Tensor
    ) -> tuple[Tensor, ...]:
        """The features -> the fields of `PhotoMaps`, then `hq_features`."""
        return *super().forward(image_embeddings), hq_features


class HqTokenSide(TokenSide):
    """`HqDecoder` on a photo's maps.

    The fine mask is a weighted sum of the last 3x3 convolution's 32 channels. Here the kernels are
    summed first, so that the convolution has one output channel: 1 / 32 of the work.
    """

    mask_decoder: HqMaskDecoder

    def photo_side(self) -> nn.Module:
        """What belongs to the encoder graph."""
        return HqPhotoSide(self.prompt_encoder, self.mask_decoder)

    @takes(*HqPhotoSide.names, *PROMPTS)
    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """As `HqDecoder.forward`, with `PhotoMaps` in place of the image embedding."""
        *maps, hq_features = inputs[: len(HqPhotoSide.names)]
        photo, prompts = PhotoMaps(*maps), Prompts(*inputs[len(HqPhotoSide.names) :])
        decoder, grid = self.mask_decoder, self.prompt_encoder.grid
        tokens, rows = self._upscale(photo, prompts)
        masks = masks_from_rows(rows @ decoder.mask_weights(tokens).transpose(1, 2), grid)
        weights = decoder.fine_mask_weights(tokens)
        own = torch.unflatten(weights @ hq_features.flatten(2), 2, hq_features.shape[2:])
        fine = weighted_features(
            decoder.embedding_maskfeature, masks_from_rows(rows, grid), weights
        )
        return decoder.answers(tokens, masks, own + fine)


def mask_feature_layers(channels: int) -> nn.Sequential:
    """The convolutions between the upscaled image and the fine mask's features."""
    return nn.Sequential(
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        LayerNorm2d(2 * channels),
        nn.GELU(),
        nn.Conv2d(2 * channels, channels, 3, padding=1),
    )


def weighted_features(layers: nn.Sequential, upscaled: Tensor, weights: Tensor) -> Tensor:
    """`weights` [B, 1, C] times `mask_feature_layers` of [B, C, H, W] -> [B, 1, H, W]."""
    first, norm, activation, last = layers
    return weighted_convolution(last, activation(norm(first(upscaled))), weights)


def weighted_convolution(conv: nn.Module, x: Tensor, weights: Tensor) -> Tensor:
    """`weights` [B, 1, out] times a 3x3 convolution of x: [B, in, H, W] -> [B, 1, H, W].

    One product gives nine maps, one per tap of the kernel, which are shifted and added.
    """
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    height, width = x.shape[2:]
    taps = conv.weight.permute(0, 2, 3, 1).flatten(1)  # [out, 9 * in]
    kernels = torch.unflatten((weights @ taps).squeeze(1), 1, (9, -1))  # [B, 9, in]
    maps = torch.unflatten(kernels @ x.flatten(2), 2, (height, width))
    maps = F.pad(maps, (1, 1, 1, 1))
    shifted = [
        maps[:, 3 * row + column, row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]
    level = (weights @ conv.bias.unsqueeze(-1)).unsqueeze(-1)  # coremltools 9.0 takes no vector
    return torch.stack(shifted).sum(dim=0).unsqueeze(1) + level
