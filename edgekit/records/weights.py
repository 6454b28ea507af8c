"""Published checkpoints, files with digests, and the source of a model's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.records.contract import Role


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
"""The forms in which weights are published: a PyTorch file of tensors; safetensors; either of these
with the names of Hugging Face transformers; a pickled module; an exported graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """A file's path (relative to its bundle, or absolute outside one), sha256 and size."""

    path: str
    sha256: str
    bytes: int


WeightsKind = Literal["official", "bundled", "seeded", "path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What one file, or all shards of one model, gave to one graph of a model.

    `files` are indices into `WeightsSource.files`. `prefixes` are how the tensors' names begin.
    """

    files: tuple[int, ...]
    role: Role
    tensors: int
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Where a model's weights come from, decided before torch is imported.

    `files` are absolute paths with their sha256 (in a manifest, names only). `seeded` weights have
    a `seed` instead. `warning` is a fact that users must not overlook, for example that the bundled
    checkpoint is used in place of the official one. `origins` say which file gave which tensors;
    they are empty until the weights are loaded, and for seeded weights.
    """

    kind: WeightsKind
    licence: str
    files: tuple[FileDigest, ...] = ()
    seed: int | None = None
    warning: str | None = None
    origins: tuple[Origin, ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells these weights from others: digests and the keys in the files, or the seed."""
        keys = (file.path.rpartition("#")[2] for file in self.files if "#" in file.path)
        return (*(file.sha256 for file in self.files), *keys) or (f"seed {self.seed}",)
