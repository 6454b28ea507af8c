"""A model of the registry as a teacher: its image embeddings, computed once and cached on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import store
from edgekit.records import FloatArray, ModelRow, WeightsSource
from edgekit.runtime.client_kinds import photo_client
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input

if TYPE_CHECKING:
    from edgekit.models.checkpoints.fit import Split

_FILE = "embedding.npy"


class EmbeddingTeacher:
    """Image embeddings by photo.

    They are cached as float16 (2 MB a photo); the key covers the photo, the weights and the code.
    """

    def __init__(self, row: ModelRow, source: WeightsSource, *, device: str) -> None:
        self.row, self._source, self._device = row, source, device
        weights = [file.sha256 for file in source.files] or [f"seed {source.seed}"]
        code = store.code_digest(__name__, row.builder.partition(":")[0])
        self._key = (code, row.name, *weights)
        self._split: Split | None = None

    def embedding(self, photo: Path) -> FloatArray:
        """The embedding of a photo file, float32 [256, 64, 64], computed or from the cache."""
        key = store.stage_key("embedding", *self._key, store.sha256_of(photo))
        folder = store.cached_dir(key, lambda part: self._compute(photo, part / _FILE))
        embedding: FloatArray = np.load(folder / _FILE).astype(np.float32)
        return embedding

    def split(self) -> Split:
        """The teacher's modules, loaded on first use: with all embeddings cached, never."""
        if self._split is None:
            from edgekit.models.checkpoints.fit import load

            self._split = load(self.row, self._source)
            self._split.encoder.to(self._device)
        return self._split

    def _compute(self, photo: Path, out: Path) -> None:
        import torch

        frame = encoder_input(load_photo(photo), photo_client(self.row.client).preprocessing)
        with torch.inference_mode(), torch.autocast(self._device, enabled=False):
            embedding = self.split().encoder(torch.from_numpy(frame).to(self._device))
        np.save(out, embedding[0].cpu().numpy().astype(np.float16))
