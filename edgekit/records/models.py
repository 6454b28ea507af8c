"""The rows of the registry of models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from edgekit.records.client import Client, ClientContract, EverythingRule
from edgekit.records.contract import GraphContract
from edgekit.records.targets import Precision
from edgekit.records.weights import CheckpointFile, CheckpointForm, WeightsKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLimit:
    """The runtimes and precisions that a model is exported for, and why for no others.

    `reason` completes the sentence "<model> is not exported for <target>: ..."
    """

    runtimes: tuple[str, ...]
    precisions: tuple[Precision, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One model.

    `encoder_gmacs` is the work of one run of the encoder in 1e9 multiply-accumulates, the products
    of attention included, as torch's flop counter counts it (`tests/models/test_encoder_work.py`).
    `builder` is "module:function" and is imported only when needed. The function returns the
    encoder and the decoder, or None for a model without a decoder. `size` names the network's size
    for builders of several sizes. `encoder_prefix` is upstream's prefix of the image encoder's keys
    ("" for NanoSAM). `unused_keys` are prefixes of keys that the files hold and no graph needs.
    `graph` names the tensors of the graphs. `widths` "from_checkpoint" reads every width from the
    checkpoint, so that pruned models load. `forms` lists the forms of checkpoint that load.
    `warning` is a fact that users must not overlook, such as a licence that restricts the use.
    `status` is "parity" where the definition computes what upstream's code computes, and "paper"
    where it follows a paper's description: no weights exist and no accuracy is claimed.
    `limit` is None for a model that every target may take.
    `bundled_everything` is the rule for everything that suits the checkpoint that comes with
    edgekit, if its scores are not those of the family.
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
    status: Literal["parity", "paper"] = "parity"
    limit: TargetLimit | None = None
    bundled_everything: EverythingRule | None = None

    def client_for(self, weights: WeightsKind) -> Client:
        """The client's rules for weights of this kind."""
        if weights != "bundled" or self.bundled_everything is None:
            return self.client
        assert isinstance(self.client, ClientContract)  # the other kinds have no such rule
        return replace(self.client, everything=self.bundled_everything)
