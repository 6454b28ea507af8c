"""The stage before masks: a teacher trains the encoder alone (decoupled distillation).

There are two kinds. `FeatureLesson`: a classifier's feature maps teach the backbone.
`EmbeddingLesson`: the student's image embeddings are to equal those of a model of the registry, as
in MobileSAM (arXiv 2306.14289, section 3.2). Neither uses annotations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.records import Preprocessing
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input, resized_size
from edgekit.train.data.batches import normalised
from edgekit.train.data.canvases import Canvases
from edgekit.train.data.random_numbers import Purpose, generator_for
from edgekit.train.data.views import (
    random_views,
    recoloured,
    resampled,
    shown,
    whole_view,
)
from edgekit.train.stages.lesson import Lesson
from edgekit.train.stages.student import TOKEN
from edgekit.train.teachers.distillation import BACKBONE_STAGES, FeatureDistillation, stage_outputs
from edgekit.train.teachers.embeddings import EmbeddingTeacher

_GREY = 118.0  # ImageNet's mean, so that padding makes no strong edge


class FeatureLesson(Lesson):
    """A classifier's feature maps, on views of the photos in several sizes."""

    name = "features"
    rate = 2.5e-3
    _SIZES = ((16, 256), (28, 192), (7, 384))  # views, pixels; used in turn
    _SCALE = (0.4, 4.0)
    _MEASURED = 32
    """Held-out photos that are measured on, in one batch."""

    def __init__(
        self,
        encoder: nn.Module,
        distillation: FeatureDistillation,
        photos: Canvases,
        *,
        held_out: Canvases,
        seed: int,
    ) -> None:
        super().__init__()
        self.backbone, self.distillation = encoder.get_submodule("backbone"), distillation
        self._photos, self._held_out, self._seed = photos, held_out, seed

    def loss(self, step: int) -> Tensor:
        """The whitened mean squared error of all stages."""
        device = self._photos.rgb.device
        if step == 0:
            generator = generator_for(Purpose.CALIBRATION, self._seed, device=device)
            self.distillation.calibrate(self._views(64, 256, generator))
        count, side = self._SIZES[step % len(self._SIZES)]
        generator = generator_for(Purpose.LESSONS, self._seed, step, device=device)
        return self._error(recoloured(self._views(count, side, generator), generator))

    def held_out(self) -> dict[str, float]:
        """The same loss on whole held-out photos."""
        count = min(len(self._held_out), self._MEASURED)
        if not count:
            return {}
        chosen = torch.arange(count, device=self._held_out.rgb.device)
        views = whole_view(count, chosen.device)
        return {"feature error": float(self._error(_seen(self._held_out, chosen, views, side=256)))}

    def _error(self, rgb: Tensor) -> Tensor:
        names = [name.removeprefix("backbone.") for name in BACKBONE_STAGES]
        with stage_outputs(self.backbone, names) as stages:
            self.backbone(normalised(rgb))
        loss: Tensor = self.distillation(stages, rgb)
        return loss

    def _views(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """Random views [count, 3, side, side] of random photos, in 0-255."""
        device = generator.device
        chosen = torch.randint(len(self._photos), (count,), generator=generator, device=device)
        views = random_views(self._photos.extents[chosen], self._SCALE, generator)
        return _seen(self._photos, chosen, views, side=side)


def _seen(photos: Canvases, chosen: Tensor, views: Tensor, *, side: int) -> Tensor:
    """Views of the chosen photos [B, 3, side, side] in 0-255, grey beside the photo."""
    rgb = resampled(photos.rgb[chosen].permute(0, 3, 1, 2).float(), views, side)
    valid = shown(photos.extents[chosen], views, side)
    seen = rgb * valid + _GREY * (1 - valid)
    return seen.contiguous(memory_format=torch.channels_last)


class EmbeddingLesson(Lesson):
    """A model's image embeddings, on whole photos, preprocessed for each model as at inference."""

    name = "embeddings"
    rate = 3e-4
    _PHOTOS_PER_STEP = 2
    """As many 1024-pixel frames as a small machine's memory allows."""
    _MEASURED = 8
    """Held-out photos that are measured on."""

    def __init__(
        self,
        encoder: nn.Module,
        rule: Preprocessing,
        teacher: EmbeddingTeacher,
        photos: Sequence[Path],
        *,
        held_out: Sequence[Path],
        seed: int,
    ) -> None:
        super().__init__()
        self.encoder, self._rule, self._teacher = encoder, rule, teacher
        self._photos, self._held_out, self._seed = photos, held_out[: self._MEASURED], seed

    def loss(self, step: int) -> Tensor:
        """The mean squared error over the tokens that show a photo, not padding."""
        rng = np.random.default_rng([Purpose.EMBEDDINGS, self._seed, step])
        chosen = rng.integers(len(self._photos), size=self._PHOTOS_PER_STEP)
        return self._error([self._photos[i] for i in chosen])

    def held_out(self) -> dict[str, float]:
        """The same loss on held-out photos."""
        errors = [float(self._error([photo])) for photo in self._held_out]
        return {"embedding error": float(np.mean(errors))} if errors else {}

    def _error(self, paths: Sequence[Path]) -> Tensor:
        device = next(self.encoder.parameters()).device
        photos = [load_photo(path) for path in paths]
        frames = np.concatenate([encoder_input(photo, self._rule) for photo in photos])
        embeddings = self.encoder(torch.from_numpy(frames).to(device)).float()
        wanted = np.stack([self._teacher.embedding(path) for path in paths])
        shown = np.zeros((len(paths), 1, *wanted.shape[2:]), np.float32)
        for row, photo in enumerate(photos):
            height, width = resized_size(photo.shape[0], photo.shape[1], self._rule)
            shown[row, :, : math.ceil(height / TOKEN), : math.ceil(width / TOKEN)] = 1
        mask = torch.from_numpy(shown).to(device)
        error = F.mse_loss(embeddings, torch.from_numpy(wanted).to(device), reduction="none") * mask
        mean: Tensor = error.sum() / (mask.sum() * wanted.shape[1])
        return mean
