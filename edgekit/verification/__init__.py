"""Does the shipped file still segment like the PyTorch reference? Torch-free."""

from edgekit.records import How
from edgekit.verification.compare import verify_predictors
from edgekit.verification.picture import comparison_picture
from edgekit.verification.prompts import PromptKind, Trial
from edgekit.verification.verdict import PromptResult, Summary, Verdict, judged, not_run, to_json

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
