"""RAP-SAM's decoder: a prompt becomes one query, which is refined by the pixels that it selects.

Sources: Xu et al., arXiv 2401.10228; Zhang et al., arXiv 2106.14855 (K-Net: the kernel update);
xushilin1/RAP-SAM, whose tensor names are kept. Only the path of prompts is here, not the panoptic
one. C is 256, P the number of pixels of the map, B the number of prompts. The prompts are rows of
one matrix [1, B, C], since they share the photo and never see each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.records import Label

HEADS = 8
STAGES = 3
_TEMPERATURE = 10000
_MARGIN = 1e-5
"""By how much upstream's logarithms keep coordinates away from 0 and 1."""


class BoxEncoding(nn.Module):
    """Sines and cosines of a box's centre and size: [B, 4] as shares of the photo -> [B, 512]."""

    frequencies: Tensor
    phases: Tensor

    def __init__(self, features: int = 128) -> None:
        super().__init__()
        pairs = torch.arange(features, dtype=torch.float64) // 2
        frequencies = 2 * math.pi / _TEMPERATURE ** (2 * pairs / features)
        # Every second one is a cosine: the sine of a quarter of a turn more.
        phases = (torch.arange(features, dtype=torch.float64) % 2) * (math.pi / 2)
        self.register_buffer("frequencies", frequencies.float(), persistent=False)
        self.register_buffer("phases", phases.float(), persistent=False)

    def forward(self, corners: Tensor) -> Tensor:
        """Encode x0, y0, x1, y1; the order of the result is y, x, width, height."""
        x0, y0, x1, y1 = corners.unbind(dim=1)
        box = torch.stack([(y0 + y1) / 2, (x0 + x1) / 2, x1 - x0, y1 - y0], dim=1)
        inside = box.clamp(_MARGIN, 1 - _MARGIN).unsqueeze(-1)
        return (inside * self.frequencies + self.phases).sin().flatten(1)


class KernelUpdate(nn.Module):
    """Mix a query with the sum of the pixels that its mask selects, each through a gate."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dynamic_layer = nn.Linear(dim, 2 * dim)
        self.input_layer = nn.Linear(dim, 2 * dim)
        self.input_gate = nn.Linear(dim, dim)
        self.update_gate = nn.Linear(dim, dim)
        # Upstream's names: `norm_in` is of the update gate, `input_norm_in` of the input gate.
        self.norm_in = nn.LayerNorm(dim)
        self.norm_out = nn.LayerNorm(dim)
        self.input_norm_in = nn.LayerNorm(dim)
        self.input_norm_out = nn.LayerNorm(dim)
        self.fc_layer = nn.Linear(dim, dim)
        self.fc_norm = nn.LayerNorm(dim)

    def forward(self, pooled: Tensor, queries: Tensor) -> Tensor:
        """[1, B, C] and [1, B, C] -> [1, B, C]."""
        pooled_in, pooled_out = self.dynamic_layer(pooled).chunk(2, dim=-1)
        query_in, query_out = self.input_layer(queries).chunk(2, dim=-1)
        both = pooled_in * query_in
        update = self.norm_in(self.update_gate(both)).sigmoid()
        keep = self.input_norm_in(self.input_gate(both)).sigmoid()
        mixed = update * self.norm_out(pooled_out) + keep * self.input_norm_out(query_out)
        return F.relu(self.fc_norm(self.fc_layer(mixed)))


class PackedAttention(nn.Module):
    """The weights of torch's `MultiheadAttention`: queries, keys and values in one matrix."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)


class OwnValue(PackedAttention):
    """Self-attention in which each query sees only itself, so only values are left: one layer."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.merged: nn.Linear | None = None

    def forward(self, queries: Tensor) -> Tensor:
        """[1, B, C] -> [1, B, C]."""
        if self.merged is not None:
            return self.merged(queries)  # type: ignore[no-any-return]
        start = 2 * self.dim
        values = F.linear(queries, self.in_proj_weight[start:], self.in_proj_bias[start:])
        return self.out_proj(values)  # type: ignore[no-any-return]

    def bake(self) -> None:
        """Multiply both layers together. Call it on a copy, before capture."""
        start, out = 2 * self.dim, self.out_proj
        weight = out.weight @ self.in_proj_weight[start:]
        self.merged = _linear(weight, out.weight @ self.in_proj_bias[start:] + out.bias)


class PixelAttention(PackedAttention):
    """Attention of the queries to all pixels, which projects no pixel.

    With keys K p and values V p of a pixel p, a score is q . (K p) = (K^T q) . p, and the weighted
    sum of values is V times the weighted sum of pixels. So both projections are made on the side of
    the queries, head by head. The keys' bias adds the same to all scores of a query, and softmax
    cancels it.
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.look: nn.Linear | None = None
        self.read: nn.Linear | None = None

    def forward(self, queries: Tensor, pixels: Tensor) -> Tensor:
        """[1, B, C] and [1, C, P] -> [1, B, C]."""
        looks = self.look(queries) if self.look else F.linear(queries, *self._look())
        weights = (looks.reshape(1, -1, self.dim) @ pixels).softmax(dim=-1)
        sums = (weights @ pixels.transpose(1, 2)).reshape(1, -1, HEADS * self.dim)
        return self.read(sums) if self.read else F.linear(sums, *self._read())

    def bake(self) -> None:
        """Keep both products of weights. Call it on a copy, before capture."""
        self.look, self.read = _linear(*self._look()), _linear(*self._read())

    def _look(self) -> tuple[Tensor, Tensor]:
        """Weight and bias, from a query to what each head multiplies the pixels by, scaled."""
        (queries, keys, _), (bias, _, _) = self._by_head()
        back = keys.mT / math.sqrt(self.dim // HEADS)
        return (back @ queries).flatten(0, 1), (back @ bias).flatten()

    def _read(self) -> tuple[Tensor, Tensor]:
        """Weight and bias, from each head's weighted sum of pixels to the result."""
        (_, _, values), (_, _, bias) = self._by_head()
        out = self.out_proj.weight.reshape(self.dim, HEADS, -1).transpose(0, 1)
        weight = (out @ values).transpose(0, 1).flatten(1)
        return weight, (out @ bias).sum(dim=0).flatten() + self.out_proj.bias

    def _by_head(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Weights [heads, C / heads, C] and biases [heads, C / heads, 1] of q, k and v."""
        weights = self.in_proj_weight.reshape(3, HEADS, -1, self.dim).unbind()
        return weights, self.in_proj_bias.reshape(3, HEADS, -1, 1).unbind()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer with these weights."""
    layer = nn.Linear(weight.shape[1], weight.shape[0]).to(weight)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


class PixelAdaptor(nn.Module):
    """Upstream's wrapper of the attention to pixels, with the residual."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attn = PixelAttention(dim)

    def forward(self, queries: Tensor, pixels: Tensor) -> Tensor:
        """[1, B, C] and [1, C, P] -> [1, B, C]."""
        return queries + self.attn(queries, pixels)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two layers with ReLU between them, under upstream's names, with the residual."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(nn.Linear(dim, hidden), nn.ReLU()), nn.Linear(hidden, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        return x + self.layers(x)  # type: ignore[no-any-return]


class MaskStage(nn.Module):
    """One refinement: pool the selected pixels, update the query, make a new mask."""

    def __init__(self, dim: int, *, hidden: int = 2048) -> None:
        super().__init__()
        self.kernel_update = KernelUpdate(dim)
        self.s_atten = OwnValue(dim)
        self.s_atten_norm = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, hidden)
        self.ffn_norm = nn.LayerNorm(dim)
        self.mask_fcs = nn.Sequential(nn.Linear(dim, dim, bias=False), nn.LayerNorm(dim), nn.ReLU())
        self.fc_mask = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, masks: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Refine queries [1, B, C] by their masks [1, B, P] over pixels [1, C, P]."""
        # Upstream compares the sigmoid with 0.5. The pixels are summed, not averaged.
        selected = (masks > 0).to(pixels.dtype)
        queries = self.kernel_update(selected @ pixels.transpose(1, 2), queries)
        queries = self.s_atten_norm(queries + self.s_atten(queries))
        queries = self.ffn_norm(self.ffn(queries))
        return queries, self.fc_mask(self.mask_fcs(queries)) @ pixels


class PromptHead(nn.Module):
    """Box corners [B, 4], as shares of the photo, and the map -> masks and scores."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mask_tokens = nn.Embedding(1, dim)
        self.pb_embedding = nn.Embedding(2, dim)
        self.pos_linear = nn.Linear(4 * dim // 2, dim)
        self.encoding = BoxEncoding(dim // 2)
        self.mask_heads = nn.ModuleList(MaskStage(dim) for _ in range(STAGES))
        self.prompt_attn = PixelAdaptor(dim)
        self.prompt_norm = nn.LayerNorm(dim)
        self.prompt_iou = nn.Linear(dim, 1)

    def queries(self, corners: Tensor) -> Tensor:
        """[B, 4] -> [1, B, C]. Upstream evaluates with the second of the two embeddings."""
        own = self.pb_embedding.weight[1] + self.mask_tokens.weight[0]
        return (self.pos_linear(self.encoding(corners)) + own).unsqueeze(0)  # type: ignore[no-any-return]

    def stages(self, queries: Tensor, pixels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Queries [1, B, C] and masks [1, B, P] after each stage, the last by all pixels."""
        masks = queries @ pixels
        for stage in self.mask_heads:
            queries, masks = stage(queries, masks, pixels)
            yield queries, masks
        queries = self.prompt_norm(self.prompt_attn(queries, pixels))
        yield queries, queries @ pixels

    def forward(self, corners: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [1, B, P] and scores [1, B, 1]."""
        *_, (queries, masks) = self.stages(self.queries(corners), pixels)
        return masks, self.prompt_iou(queries)


class RapSamDecoder(nn.Module):
    """The decoder graph, for a batch of prompts on one photo."""

    def __init__(self, *, frame: int = 1024, dim: int = 256) -> None:
        super().__init__()
        self.frame = frame
        self.panoptic_head = PromptHead(dim)

    def forward(
        self, image_embeddings: Tensor, point_coords: Tensor, point_labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks for B prompts.

        Args:
            image_embeddings: [1, 256, 256, 256], of one photo.
            point_coords: [B, N, 2], x and y in a frame that the photo fills.
            point_labels: [B, N], codes of `records.Label`. A prompt is its two box corners; slots
                with another label have no influence.

        Returns:
            low_res_masks [B, 1, 256, 256] logits and iou_predictions [B, 1].
        """
        corners = box_corners(point_coords, point_labels) / self.frame
        masks, scores = self.panoptic_head(corners, image_embeddings.flatten(2))
        height, width = image_embeddings.shape[2:]
        return masks.reshape(-1, 1, height, width), scores.reshape(-1, 1)


def box_corners(coords: Tensor, labels: Tensor) -> Tensor:
    """[B, N, 2] and [B, N] -> [B, 4]: the slots that have a corner's label, one of each."""
    corners = []
    for label in (Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT):
        chosen = (labels == label).to(coords.dtype).unsqueeze(-1)
        corners.append((coords * chosen).sum(dim=1))
    return torch.cat(corners, dim=1)
