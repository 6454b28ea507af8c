"""Graphs, the artifacts made from them, and the bundles that hold the artifacts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgekit.records.client import Client
from edgekit.records.contract import PromptShape, Role, TensorSpec, prompt_shape_in
from edgekit.records.plans import CalibrationRecord, PartPlan
from edgekit.records.targets import Target
from edgekit.records.weights import FileDigest, WeightsSource

MANIFEST_SCHEMA = 1


GraphFormat = Literal["onnx", "program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """An estimate of memory, in bytes."""

    weights: int
    activations: int
    """The most bytes of activations alive at once."""
    sizes: dict[str, int]
    """The dynamic dimensions that the estimate is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _GraphFacts:
    """The fields of a graph in any format."""

    role: Role
    path: Path
    """Absolute."""
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: dict[str, int]
    macs: int | None = None
    """Multiply-accumulates per run; in the decoder, for one prompt of two points."""
    plan: PartPlan | None = None
    """Set if the runtime's converter applies the plan; the graph itself is then float32."""
    title: str = ""
    """The model's title, for formats with a place for it; likewise `licence`."""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph(_GraphFacts):
    """An ONNX file; `ops` counts ONNX operators."""

    opset: int
    weights: Path | None = None
    """The file of external weights, if the graph has more than 0.5 GB of them."""
    memory: MemoryNeed | None = None
    format: Literal["onnx"] = "onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedProgram(_GraphFacts):
    """A captured program in torch's own format, `<role>.pt2`; `ops` counts aten operators."""

    format: Literal["program"] = "program"


Graph = OnnxGraph | SavedProgram
"""One captured program as a file, which the lowering of a runtime converts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """An engine that TensorRT built from one artifact, and the machine that it fits."""

    file: FileDigest
    source_sha256: str
    """SHA-256 of the artifact's entry."""
    tensorrt: str
    gpu: str
    compute_capability: str
    driver: str
    """The newest CUDA version that the driver serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The files that a runtime loads for one role. Paths are relative to the bundle."""

    role: Role
    format: Literal["onnx", "openvino-ir", "mlpackage", "tflite"]
    entry: str
    """The path to open: one of the files, or the folder that holds them."""
    files: tuple[FileDigest, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: dict[str, int]
    options: dict[str, str] = field(default_factory=dict)
    """Compile options that override the target's for this artifact."""
    macs: int | None = None
    """As in `Graph`."""
    memory: MemoryNeed | None = None
    engine: EngineRecord | None = None
    """The engine that TensorRT built last. Not one of the files: it changes with the machine."""

    @property
    def prompt_shape(self) -> PromptShape | None:
        """(prompts, points) of a decoder of static shapes; None for dynamic shapes."""
        return prompt_shape_in(self.inputs)

    @property
    def contents(self) -> tuple[FileDigest, ...]:
        """The files, and the engine's file if there is one."""
        return self.files if self.engine is None else (*self.files, self.engine.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`manifest.json` of a bundle: everything that a C++, Swift or Kotlin client needs."""

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
    """`precision.json`, if the target's precision needs a plan."""
    calibration: CalibrationRecord | None = None
    tools: dict[str, str]
    edgekit: str
    created: str
    schema: int = MANIFEST_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk with its manifest (`store.read_bundle` checks the digests)."""

    path: Path
    manifest: Manifest
    archive: Path | None = None
    """The .zip that `path` was unpacked from."""

    @property
    def name(self) -> str:
        """What the user calls it: the name of its folder, or of its .zip without the ending."""
        return self.path.name if self.archive is None else self.archive.stem

    def artifact(self, role: Role) -> Artifact:
        """The artifact of one role."""
        return next(a for a in self.manifest.artifacts if a.role == role)
