"""The frozen types that pass between stages. They have no behaviour.

A stage is a function from records to a record. Paths inside a bundle are POSIX and relative to it.
Records hold digests and names instead of arrays, so that they print, compare and serialise.
"""

from edgekit.records.arrays import (
    BoolArray,
    Feeds,
    FloatArray,
    Rgb,
    Session,
)
from edgekit.records.bundles import (
    MANIFEST_SCHEMA,
    Artifact,
    Bundle,
    EngineRecord,
    Graph,
    GraphFormat,
    Manifest,
    MemoryNeed,
    OnnxGraph,
    SavedProgram,
)
from edgekit.records.client import (
    Client,
    ClientContract,
    DetectionRule,
    DetectorContract,
    DrawingRule,
    EverythingRule,
    MaskChoice,
    MaskRule,
    Preprocessing,
    PromptPart,
    PromptRule,
    Resampling,
    StableMask,
)
from edgekit.records.contract import (
    GraphContract,
    Label,
    PromptShape,
    Role,
    TensorSpec,
    prompt_shape_in,
)
from edgekit.records.machines import (
    NATIVE,
    Execution,
    How,
    Probe,
)
from edgekit.records.models import (
    ModelRow,
)
from edgekit.records.plans import (
    CalibrationRecord,
    NodePlan,
    PartPlan,
    PrecisionPlan,
    Quantization,
)
from edgekit.records.requests import (
    Against,
    BenchRequest,
    EvaluateDetectionsRequest,
    EvaluateEverythingRequest,
    EvaluateRequest,
    ExportRequest,
    VerifyEverythingRequest,
    VerifyRequest,
)
from edgekit.records.run_lengths import (
    RunLengths,
    mask_from_runs,
    runs_from_mask,
)
from edgekit.records.segments import (
    CocoRle,
    Segment,
    Strategy,
)
from edgekit.records.targets import (
    Gate,
    Int8Recipe,
    Precision,
    Target,
)
from edgekit.records.weights import (
    CheckpointFile,
    CheckpointForm,
    FileDigest,
    Origin,
    WeightsKind,
    WeightsSource,
)

__all__ = [
    "MANIFEST_SCHEMA",
    "NATIVE",
    "Against",
    "Artifact",
    "BenchRequest",
    "BoolArray",
    "Bundle",
    "CalibrationRecord",
    "CheckpointFile",
    "CheckpointForm",
    "Client",
    "ClientContract",
    "CocoRle",
    "DetectionRule",
    "DetectorContract",
    "DrawingRule",
    "EngineRecord",
    "EvaluateDetectionsRequest",
    "EvaluateEverythingRequest",
    "EvaluateRequest",
    "EverythingRule",
    "Execution",
    "ExportRequest",
    "Feeds",
    "FileDigest",
    "FloatArray",
    "Gate",
    "Graph",
    "GraphContract",
    "GraphFormat",
    "How",
    "Int8Recipe",
    "Label",
    "Manifest",
    "MaskChoice",
    "MaskRule",
    "MemoryNeed",
    "ModelRow",
    "NodePlan",
    "OnnxGraph",
    "Origin",
    "PartPlan",
    "Precision",
    "PrecisionPlan",
    "Preprocessing",
    "Probe",
    "PromptPart",
    "PromptRule",
    "PromptShape",
    "Quantization",
    "Resampling",
    "Rgb",
    "Role",
    "RunLengths",
    "SavedProgram",
    "Segment",
    "Session",
    "StableMask",
    "Strategy",
    "Target",
    "TensorSpec",
    "VerifyEverythingRequest",
    "VerifyRequest",
    "WeightsKind",
    "WeightsSource",
    "mask_from_runs",
    "prompt_shape_in",
    "runs_from_mask",
]
