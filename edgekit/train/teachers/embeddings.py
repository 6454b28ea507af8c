"""A model of the registry as a teacher: its image embeddings, computed once and cached on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import store
from edgekit.records import FloatArray, ModelRow, WeightsSource
from edgekit.runtime.client_kinds import photo_client
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from edgekit.train.data.cached import cached_array

if TYPE_CHECKING:
    from edgekit.models.checkpoints.fit import Split


class EmbeddingTeacher:
    """Image embeddings by photo.

    They are cached (2 MB a photo) by the photo, the weights and the code.
    """

    def __init__(self, row: ModelRow, source: WeightsSource, *, device: str) -> None:
        self.row, self._source, self._device = row, source, device
        code = store.code_digest(__name__, row.builder.partition(":")[0])
        self._key = (code, row.name, *source.identity)
        self._split: Split | None = None

    def embedding(self, photo: Path) -> FloatArray:
        """The embedding of a photo file, float32 [256, 64, 64], computed or from the cache."""
        return cached_array("embedding", self._key, photo, lambda: self._compute(photo))

    def split(self) -> Split:
        """The teacher's modules, loaded on first use: with all embeddings cached, never."""
        if self._split is None:
            from edgekit.models.checkpoints.fit import load

            self._split = load(self.row, self._source)
            self._split.encoder.to(self._device)
        return self._split

    def _compute(self, photo: Path) -> FloatArray:
        import torch

        frame = encoder_input(load_photo(photo), photo_client(self.row.client).preprocessing)
        with torch.inference_mode(), torch.autocast(self._device, enabled=False):
            embeddings = self.split().encoder(torch.from_numpy(frame).to(self._device))
        embedding: FloatArray = embeddings[0].cpu().numpy()
        return embedding
