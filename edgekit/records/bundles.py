"""Graphs, the artifacts made from them, and the bundles that hold these."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgekit.records.client import Client
from edgekit.records.contract import Role, TensorSpec, slots_in
from edgekit.records.plans import CalibrationRecord, PartPlan
from edgekit.records.targets import Target
from edgekit.records.weights import FileDigest, WeightsSource

MANIFEST_SCHEMA = 1


GraphFormat = Literal["onnx", "program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """An estimate in bytes: all weights, and the most of activations that is alive at once.

    `sizes` are those of the dynamic dimensions that it was made for.
    """

    weights: int
    activations: int
    sizes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _GraphFacts:
    """What is known of a graph whatever its format.

    `path` is absolute. `macs` are multiply-accumulates per run (in the decoder, for one prompt of
    two points). `plan` is set where the runtime's converter applies it; the graph is in float32
    then. `title` and `licence` are the model's, for formats that have room for them.
    """

    role: Role
    path: Path
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: dict[str, int]
    macs: int | None = None
    plan: PartPlan | None = None
    title: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph(_GraphFacts):
    """An ONNX file; `ops` counts ONNX operators.

    `weights` is the file beside it that holds what one ONNX file cannot (2 GB).
    """

    opset: int
    weights: Path | None = None
    memory: MemoryNeed | None = None
    format: Literal["onnx"] = "onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedProgram(_GraphFacts):
    """A captured program in torch's own format, `<role>.pt2`; `ops` counts aten operators."""

    format: Literal["program"] = "program"


Graph = OnnxGraph | SavedProgram
"""One captured program as a file: what a runtime's lowering converts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """An engine built on one machine from one artifact, and what it fits.

    `source_sha256` is that of the artifact's entry. `driver` is the newest CUDA that it serves.
    """

    file: FileDigest
    source_sha256: str
    tensorrt: str
    gpu: str
    compute_capability: str
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a runtime loads for one role: `entry` is what to open, `files` all that belong to it.

    `entry` is one of the files, or the folder that they lie in. `macs` as in `Graph`. `engine` is
    what TensorRT built from it last; not one of the files, since it changes with the machine.
    `options` are compile options that take the place of the target's for this artifact.
    """

    role: Role
    format: Literal["onnx", "openvino-ir", "mlpackage", "tflite"]
    entry: str
    files: tuple[FileDigest, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: dict[str, int]
    options: dict[str, str] = field(default_factory=dict)
    weights: Path | None = None
    macs: int | None = None
    memory: MemoryNeed | None = None
    engine: EngineRecord | None = None

    @property
    def slots(self) -> int | None:
        """Points that a decoder of static shapes takes; None where there is no such number."""
        return slots_in(self.inputs)

    @property
    def contents(self) -> tuple[FileDigest, ...]:
        """Its files, and the engine's if there is one."""
        return self.files if self.engine is None else (*self.files, self.engine.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`manifest.json` of a bundle: everything a C++, Swift or Python client needs.

    `plan` is the precision plan (`precision.json`), where the target's precision needs one.
    """

    model: str
    family: str
    variant: str
    title: str
    licence: str
    target: Target
    client: Client
    label_codes: dict[str, int]
    weights: WeightsSource
    artifacts: tuple[Artifact, ...]
    golden: tuple[FileDigest, ...]
    plan: FileDigest | None = None
    calibration: CalibrationRecord | None = None
    tools: dict[str, str]
    edgekit: str
    created: str
    schema: int = MANIFEST_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk whose manifest has been read (`store.read_bundle` checks the digests)."""

    path: Path
    manifest: Manifest

    def artifact(self, role: Role) -> Artifact:
        """The artifact of one role."""
        return next(a for a in self.manifest.artifacts if a.role == role)
