"""Files with digests: published checkpoints, and where a model's weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFile:
    """One published file.

    `sha256` is None where no trustworthy digest is known: edgekit then never downloads the file.
    """

    filename: str
    url: str
    sha256: str | None
    bytes: int | None
    licence: str


CheckpointForm = Literal["state dict", "safetensors", "transformers", "pickled module", "onnx"]
"""Forms in which weights are published: a PyTorch file of tensors; safetensors; either of the two
under the names of Hugging Face transformers; a whole module; an exported graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """A file's path (relative to its bundle, or absolute outside one), sha256 and size."""

    path: str
    sha256: str
    bytes: int


WeightsKind = Literal["official", "bundled", "seeded", "path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Where a model's weights come from, settled before torch is imported.

    `files` are absolute paths with their sha256 (in a manifest: names only); empty for `seeded`,
    whose `seed` says it all.
    `warning` is what the user must not overlook (for example: the bundled stand-in was taken).
    """

    kind: WeightsKind
    licence: str
    files: tuple[FileDigest, ...] = ()
    seed: int | None = None
    warning: str | None = None
