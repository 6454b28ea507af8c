"""The proposal network: for each cell of the image embedding, how sure an object's centre is there.

The design is edgekit's own. Lite-SAM (arXiv 2407.08965) and AoP-SAM (arXiv 2505.11980) are the
systems that propose prompts instead of a grid. The layers of their networks, AutoPPN and the prompt
predictor, are not published, and this is not a guess at them.

Why it is as it is:

- It reads `photo_upscaled`, what every bundle with SAM's decoder passes to it: the image embedding
  after the decoder's first upsampling weights, a row of 256 numbers for each of 64 x 64 cells. The
  graphs stay as they are, and the photo is not encoded again.
- Each row is normalised by its own mean and deviation, because the channels' scale differs between
  weights and precisions. A 1x1 convolution takes it to 48 channels.
- Four residual blocks of a depthwise 3x3 and a 1x1 convolution, with dilations 1, 2, 4 and 8: a
  cell sees 31 x 31 cells, half of the photo's side, so that it knows the middle of a large object.
- One confidence per cell, and no box: a point is what SAM's decoder was trained to complete.

It has 23,713 parameters and takes 95 million multiply-accumulates, less than the decoder takes for
one point, so that NumPy is fast enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np

from edgekit.errors import BadInput
from edgekit.records import Feeds, FloatArray
from edgekit.store import printable

FEATURE = "photo_upscaled"
"""The encoder graph's output that the network reads, [1, grid * grid, CHANNELS]."""

CHANNELS = 256
WIDTH = 48
DILATIONS = (1, 2, 4, 8)
EPSILON = 1e-6

SHAPES: dict[str, tuple[int, ...]] = {
    "squeeze.weight": (WIDTH, CHANNELS, 1, 1),
    "squeeze.bias": (WIDTH,),
    **{
        f"blocks.{index}.{name}": shape
        for index in range(len(DILATIONS))
        for name, shape in {
            "near.weight": (WIDTH, 1, 3, 3),
            "near.bias": (WIDTH,),
            "mix.weight": (WIDTH, WIDTH, 1, 1),
            "mix.bias": (WIDTH,),
        }.items()
    },
    "head.weight": (1, WIDTH, 1, 1),
    "head.bias": (1,),
}
"""The tensors by the names of `train.proposals.network`, shaped as torch's convolutions are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProposalNetwork:
    """A trained network, for the encoder that it was trained on.

    model: its name in the registry. weights: their identity (see `WeightsSource`). tensors: float32
    by the names and shapes of `SHAPES`.
    """

    model: str
    weights: tuple[str, ...]
    tensors: Mapping[str, FloatArray]

    def require_encoder(self, model: str, weights: tuple[str, ...]) -> None:
        """Refuse an encoder that the network was not trained on: its numbers mean something else.

        Raises:
            BadInput: it is another model, or has other weights.
        """
        if (model, weights) == (self.model, self.weights):
            return
        own = printable(self.model)
        other = f"{own} with other weights" if model == self.model else own
        raise BadInput(
            f"These proposals are of {other}, and the bundle is of {model}.",
            expected="proposals that were trained on the encoder of the bundle",
            next_step=f"edgekit train {model} --proposals --init WEIGHTS --annotations COCO.json",
        )

    def confidence(self, features: Feeds) -> FloatArray:
        """How sure an object's centre is in each cell, [grid, grid], 0 to 1.

        Args:
            features: the encoder's outputs by name.

        Raises:
            BadInput: `photo_upscaled` is missing or of another shape, or the result is not finite.
        """
        rows = _rows(features)
        grid = isqrt(len(rows))
        with np.errstate(all="ignore"):  # broken weights: the check below tells
            image = self._squeezed(rows).reshape(grid, grid, WIDTH)
            for index, dilation in enumerate(DILATIONS):
                image += self._block(index, image, dilation)
            logits = self._product("head", image)[..., 0]
            confidence: FloatArray = np.reciprocal(1 + np.exp(-logits))
        if not np.isfinite(confidence).all():
            raise BadInput(
                "The proposal network's confidence is not finite.",
                expected="proposals trained on this bundle's encoder, and finite features",
                next_step="edgekit verify BUNDLE",
            )
        return confidence

    def _squeezed(self, rows: FloatArray) -> FloatArray:
        """Normalised rows [K, CHANNELS] -> [K, WIDTH]."""
        deviation = np.sqrt(rows.var(axis=1, keepdims=True) + np.float32(EPSILON))
        normalised = (rows - rows.mean(axis=1, keepdims=True)) / deviation
        return np.maximum(self._product("squeeze", normalised), 0)

    def _block(self, index: int, image: FloatArray, dilation: int) -> FloatArray:
        """What a block adds to the image [grid, grid, WIDTH]."""
        grid = len(image)
        taps = self.tensors[f"blocks.{index}.near.weight"][:, 0]  # [WIDTH, 3, 3]
        padded = np.pad(image, ((dilation, dilation), (dilation, dilation), (0, 0)))
        near = np.zeros_like(image) + self.tensors[f"blocks.{index}.near.bias"]
        for row in range(3):
            for column in range(3):
                top, left = row * dilation, column * dilation
                near += padded[top : top + grid, left : left + grid] * taps[:, row, column]
        return self._product(f"blocks.{index}.mix", np.maximum(near, 0))

    def _product(self, name: str, image: FloatArray) -> FloatArray:
        """A 1x1 convolution of the last axis."""
        weight = self.tensors[f"{name}.weight"][:, :, 0, 0]
        result: FloatArray = image @ weight.T + self.tensors[f"{name}.bias"]
        return result


def _rows(features: Feeds) -> FloatArray:
    """The features as rows [grid * grid, CHANNELS]."""
    if FEATURE not in features:
        raise BadInput(
            f"This model's encoder has no output {FEATURE}, which proposals are made from.",
            expected="a bundle of a model with SAM's decoder, such as nanosam",
            next_step="--strategy grid",
        )
    rows = features[FEATURE]
    if rows.ndim != 3 or rows.shape != (1, isqrt(rows.shape[1]) ** 2, CHANNELS):
        raise BadInput(
            f"The encoder's output {FEATURE} has the shape {list(rows.shape)}.",
            expected=f"[1, grid * grid, {CHANNELS}]",
            next_step="--strategy grid",
        )
    return np.asarray(rows[0], dtype=np.float32)
