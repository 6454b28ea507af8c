"""The registry's rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgekit.records.client import Client
from edgekit.records.contract import GraphContract
from edgekit.records.weights import CheckpointFile, CheckpointForm


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One line of the registry. `builder` is "module:function", imported only when needed.

    `builder` gives encoder and decoder; the decoder is None where the model has none.
    `encoder_gmacs` is the encoder's work on one photo in 1e9 multiply-accumulates, attention's
    products included, as torch's flop counter counts it (`tests/models/test_encoder_work.py`).
    `encoder_prefix` is what upstream writes before the image encoder's keys ("" for NanoSAM).
    `unused_keys` are beginnings of names that its files hold and that no graph needs. `graph` names
    the tensors of its graphs. `widths` "from_checkpoint": every width is read off the file, so
    that pruned models load. `forms` are those of a checkpoint that load. `warning` is what a user
    must not overlook (for example: a licence that restricts the use).
    """

    name: str
    family: str
    variant: str
    title: str
    paper: str
    licence: str
    parameters: int
    encoder_gmacs: float
    builder: str
    encoder_prefix: str
    unused_keys: tuple[str, ...]
    checkpoints: tuple[CheckpointFile, ...]
    client: Client
    size: str | None = None
    graph: GraphContract = field(default_factory=GraphContract)
    widths: Literal["fixed", "from_checkpoint"] = "fixed"
    forms: tuple[CheckpointForm, ...] = ("state dict", "safetensors")
    warning: str | None = None
