"""Segment-Anything models from a PyTorch checkpoint to a verified artifact on an edge device.

The library, loaded on first use so that `import edgekit` stays cheap:

    from edgekit import ExportRequest, Predictor, export

    exported = export(ExportRequest(model="nanosam", target="x86-fp32"))
    predictor = Predictor(exported.bundle)
"""

from __future__ import annotations

from importlib import import_module

from edgekit.version import __version__

TYPE_CHECKING = False  # type checkers know the name; importing typing takes longer than all of this
if TYPE_CHECKING:
    from edgekit.pipeline import (
        Exported,
        bench,
        evaluate,
        evaluate_detections,
        evaluate_everything,
        export,
        record,
        verify,
        verify_everything,
    )
    from edgekit.records import (
        BenchRequest,
        Bundle,
        EvaluateDetectionsRequest,
        EvaluateEverythingRequest,
        EvaluateRequest,
        ExportRequest,
        RecordRequest,
        VerifyEverythingRequest,
        VerifyRequest,
    )
    from edgekit.report import SILENT, Report
    from edgekit.runtime import Prediction, Predictor, Prompt, VolumePredictor
    from edgekit.stages.evaluation import DetectionEvaluation, Evaluation
    from edgekit.stages.everything import EverythingEvaluation
    from edgekit.stages.measurement import Bench
    from edgekit.verification import EverythingVerdict, Verdict

__all__ = [
    "SILENT",
    "Bench",
    "BenchRequest",
    "Bundle",
    "DetectionEvaluation",
    "EvaluateDetectionsRequest",
    "EvaluateEverythingRequest",
    "EvaluateRequest",
    "Evaluation",
    "EverythingEvaluation",
    "EverythingVerdict",
    "ExportRequest",
    "Exported",
    "Prediction",
    "Predictor",
    "Prompt",
    "RecordRequest",
    "Report",
    "Verdict",
    "VerifyEverythingRequest",
    "VerifyRequest",
    "VolumePredictor",
    "__version__",
    "bench",
    "evaluate",
    "evaluate_detections",
    "evaluate_everything",
    "export",
    "record",
    "verify",
    "verify_everything",
]

_MODULES = {
    "edgekit.pipeline": (
        "Exported",
        "bench",
        "evaluate",
        "evaluate_detections",
        "evaluate_everything",
        "export",
        "record",
        "verify",
        "verify_everything",
    ),
    "edgekit.records": (
        "BenchRequest",
        "Bundle",
        "EvaluateDetectionsRequest",
        "EvaluateEverythingRequest",
        "EvaluateRequest",
        "ExportRequest",
        "RecordRequest",
        "VerifyEverythingRequest",
        "VerifyRequest",
    ),
    "edgekit.report": ("SILENT", "Report"),
    "edgekit.runtime": ("Prediction", "Predictor", "Prompt", "VolumePredictor"),
    "edgekit.stages.evaluation": ("DetectionEvaluation", "Evaluation"),
    "edgekit.stages.everything": ("EverythingEvaluation",),
    "edgekit.stages.measurement": ("Bench",),
    "edgekit.verification": ("EverythingVerdict", "Verdict"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
