"""What a proposal network reads of each photo: computed by the frozen encoder, once, and cached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import store
from edgekit.errors import BadInput
from edgekit.records import FloatArray, ModelRow, WeightsSource
from edgekit.runtime.client_kinds import photo_client
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from edgekit.runtime.proposals.network import FEATURE
from edgekit.train.data.cached import cached_array

if TYPE_CHECKING:
    from torch import nn


class PhotoRows:
    """The encoder's `photo_upscaled` by photo, as the exported encoder gives it.

    The rows are cached (2 MB a photo) by the photo, the weights and the code.
    """

    def __init__(self, row: ModelRow, source: WeightsSource, *, device: str) -> None:
        """Load the model.

        Raises:
            BadInput: its exported encoder has no such output.
            CheckpointMismatch: the weights do not fit the model.
        """
        self._encoder, self._place = _exported_encoder(row, source)
        self._encoder.to(device)
        self._device = device
        self._rule = photo_client(row.client).preprocessing
        code = store.code_digest(__name__, row.builder.partition(":")[0])
        self._key = (code, row.name, *source.identity)

    def rows(self, photo: Path) -> FloatArray:
        """The rows of a photo file, float32 [grid * grid, 256], computed or from the cache."""
        return cached_array("proposals", self._key, photo, lambda: self._compute(photo))

    def _compute(self, photo: Path) -> FloatArray:
        import torch

        image = torch.from_numpy(encoder_input(load_photo(photo), self._rule)).to(self._device)
        # A training step computes in BF16; these rows are those of the float32 encoder.
        with torch.inference_mode(), torch.autocast(self._device, enabled=False):
            rows: FloatArray = self._encoder(image)[self._place][0].cpu().numpy()
        return rows


def _exported_encoder(row: ModelRow, source: WeightsSource) -> tuple[nn.Module, int]:
    """The encoder in the form that is exported, and the place of the rows among its outputs."""
    from edgekit.models.checkpoints.fit import load
    from edgekit.program.passes.exported_form import exported_forms

    split = load(row, source)
    forms = exported_forms(split.encoder, split.decoder, row.graph)
    if FEATURE not in forms.contract.features:
        raise BadInput(
            f"{row.title} cannot have a proposal network: its exported encoder has no output "
            f"{FEATURE}.",
            expected="a model with SAM's decoder, such as nanosam",
        )
    return forms.encoder, forms.contract.features.index(FEATURE)
