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

from edgekit.records import Preprocessing, Rgb
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input, resized_size
from edgekit.train.data.batches import IMAGENET_DEVIATION, IMAGENET_MEAN
from edgekit.train.data.windows import random_window, recolour, resample
from edgekit.train.stages.lesson import Lesson
from edgekit.train.stages.student import TOKEN
from edgekit.train.teachers.distillation import BACKBONE_STAGES, FeatureDistillation, stage_outputs
from edgekit.train.teachers.embeddings import EmbeddingTeacher

_GREY = 118  # ImageNet's mean, so that padding makes no strong edge


class FeatureLesson(Lesson):
    """A classifier's feature maps, on windows of the photos in several sizes."""

    name = "features"
    rate = 2.5e-3
    _SIZES = ((16, 256), (28, 192), (7, 384))  # windows, pixels; used in turn

    def __init__(
        self,
        encoder: nn.Module,
        distillation: FeatureDistillation,
        photos: Sequence[Rgb],
        *,
        held_out: Sequence[Rgb],
        seed: int,
    ) -> None:
        super().__init__()
        self.backbone, self.distillation = encoder.get_submodule("backbone"), distillation
        self._photos, self._held_out, self._seed = photos, held_out, seed

    def loss(self, step: int) -> Tensor:
        """The whitened mean squared error of all stages."""
        if step == 0:
            self.distillation.calibrate(self._windows(10**6, count=64, size=256))
        count, size = self._SIZES[step % len(self._SIZES)]
        return self._error(self._windows(step, count=count, size=size))

    def held_out(self) -> dict[str, float]:
        """The same loss on one window of each held-out photo."""
        views = []
        for index, photo in enumerate(self._held_out):
            rng = np.random.default_rng(index)
            view = random_window(photo.shape[:2], rng, size=256, long_side=700)
            views.append(resample(photo, view, size=256, fill=_GREY))
        return {"feature error": float(self._error(self._tensor(views)))}

    def _error(self, rgb: Tensor) -> Tensor:
        mean = torch.tensor(IMAGENET_MEAN, device=rgb.device).view(3, 1, 1)
        deviation = torch.tensor(IMAGENET_DEVIATION, device=rgb.device).view(3, 1, 1)
        names = [name.removeprefix("backbone.") for name in BACKBONE_STAGES]
        with stage_outputs(self.backbone, names) as stages:
            self.backbone((rgb - mean) / deviation)
        loss: Tensor = self.distillation(stages, rgb)
        return loss

    def _windows(self, step: int, *, count: int, size: int) -> Tensor:
        rng = np.random.default_rng([7, self._seed, step])
        views = []
        for _ in range(count):
            photo = self._photos[int(rng.integers(len(self._photos)))]
            long_side = float(np.exp(rng.uniform(np.log(size), np.log(1400))))
            window = random_window(photo.shape[:2], rng, size=size, long_side=long_side)
            view = resample(photo, window, size=size, fill=_GREY)
            views.append(recolour(view, rng) if rng.random() < 0.7 else view)
        return self._tensor(views)

    def _tensor(self, views: list[Rgb]) -> Tensor:
        device = next(self.backbone.parameters()).device
        rgb = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).to(device).float()
        return rgb.contiguous(memory_format=torch.channels_last)


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
        rng = np.random.default_rng([11, self._seed, step])
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
