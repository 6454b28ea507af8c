"""A model's captured programs, as a lazy handle that stages pass on."""

from __future__ import annotations

import gc
from operator import itemgetter
from typing import TYPE_CHECKING

from edgekit.records import ModelRow, PromptShape, Role, Session, WeightsSource
from edgekit.report import SILENT, Report
from edgekit.store import code_digest

if TYPE_CHECKING:
    from edgekit.models.checkpoints.fit import Split
    from edgekit.program.capture import Program
    from edgekit.program.passes.exported_form import ExportedForms

LARGE = 250_000_000
"""Parameters (1 GB) from which a model must not stay in memory beside a converter's copies."""


class Programs:
    """A model with its weights, loaded and captured when a stage first needs it.

    A stage with a cached result does not need it, so a repeated export imports no torch. The
    properties raise CheckpointMismatch if the weights do not fit.
    """

    def __init__(
        self,
        row: ModelRow,
        source: WeightsSource,
        shapes: tuple[PromptShape, ...],
        *,
        report: Report = SILENT,
    ) -> None:
        """`shapes` are the target's `prompt_shapes`; `report` is told what loading left out."""
        self.row = row
        self.source = source
        self.shapes = shapes
        self._report = report
        self._split: Split | None = None
        self._forms: ExportedForms | None = None
        self._decoders: dict[PromptShape | None, Program] = {}
        self._encoder: Program | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """The model's part of a cache key: weights, rules, and the code that builds it."""
        keys = (file.path.rpartition("#")[2] for file in self.source.files if "#" in file.path)
        weights = (*(f.sha256 for f in self.source.files), *keys, str(self.source.seed))
        code = code_digest(self.row.builder.partition(":")[0])
        return (repr(self.row), *weights, str(self.shapes), code)

    @property
    def split(self) -> Split:
        """The encoder and decoder modules with their weights."""
        from edgekit.models.checkpoints.fit import load

        if self._split is None:
            self._split = load(self.row, self.source)
            for note in self._split.notes:
                self._report.warning(note)
            self._report = SILENT  # a large model is loaded again, and nothing new is to be said
        return self._split

    @property
    def forms(self) -> ExportedForms:
        """The modules as they are captured."""
        from edgekit.program.passes.exported_form import exported_forms

        if self._forms is None:
            split = self.split
            self._forms = exported_forms(split.encoder, split.decoder, self.row.graph)
        return self._forms

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The modules as they are captured, run in PyTorch: the encoder, then the decoder."""
        from edgekit.models.reference import TorchSession

        forms = self.forms
        modules = {Role.ENCODER: forms.encoder, Role.DECODER: forms.decoder}
        return tuple(
            TorchSession(module, role, forms.contract) for role, module in modules.items() if module
        )

    @property
    def encoder(self) -> Program:
        """The captured encoder."""
        from edgekit.program.capture import capture_encoder

        if self._encoder is None:
            client, forms = self.row.client, self.forms
            self._encoder = capture_encoder(
                forms.encoder,
                frame=client.preprocessing.frame,
                channels=client.image_channels,
                contract=forms.contract,
            )
        return self._encoder

    @property
    def decoder(self) -> Program | None:
        """The captured decoder with the most prompt slots; None for a model without a decoder."""
        return self._decoder(max(self.shapes, key=itemgetter(1), default=None))

    @property
    def planned(self) -> tuple[Program, ...]:
        """The programs that a precision plan covers: encoder and decoder."""
        decoder = self.decoder
        return (self.encoder, decoder) if decoder else (self.encoder,)

    @property
    def lowered(self) -> tuple[Program, ...]:
        """The programs that become files: the encoder, and a decoder per shape of prompts."""
        decoders = (self._decoder(shape) for shape in self.shapes or (None,))
        return (self.encoder, *(decoder for decoder in decoders if decoder))

    def release(self) -> None:
        """Free a large model, since converters hold its weights several times (ViT-H: 2.5 GB).

        A stage that still needs it loads and captures it again.
        """
        if self.row.parameters >= LARGE:
            self._split, self._forms, self._encoder = None, None, None
            self._decoders.clear()
            gc.collect()  # fx graphs contain reference cycles

    def _decoder(self, shape: PromptShape | None) -> Program | None:
        from edgekit.program.capture import capture_decoder

        forms = self.forms
        if forms.decoder is None:
            return None
        if shape not in self._decoders:
            prompts, slots = shape or (1, None)
            self._decoders[shape] = capture_decoder(
                forms.decoder,
                features=self.encoder.outputs,
                slots=slots,
                prompts=prompts,
                contract=forms.contract,
            )
        return self._decoders[shape]
