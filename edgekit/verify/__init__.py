"""Does the shipped file still segment like the PyTorch reference? Torch-free."""

from edgekit.records import How
from edgekit.verify.compare import verify_predictors
from edgekit.verify.picture import comparison_picture
from edgekit.verify.prompts import PromptKind, Trial
from edgekit.verify.verdict import PromptResult, Summary, Verdict, judged, not_run, to_json

__all__ = [
    "How",
    "PromptKind",
    "PromptResult",
    "Summary",
    "Trial",
    "Verdict",
    "comparison_picture",
    "judged",
    "not_run",
    "to_json",
    "verify_predictors",
]
