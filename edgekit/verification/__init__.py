"""Check that a bundle's files segment like the PyTorch reference. Needs no PyTorch itself."""

from edgekit.records import How
from edgekit.verification.answers import Reference
from edgekit.verification.closeup import worst_closeup
from edgekit.verification.compare import verify_predictors
from edgekit.verification.everything import EverythingVerdict
from edgekit.verification.picture import comparison_picture
from edgekit.verification.prompts import PromptKind, Trial
from edgekit.verification.verdict import (
    Judgement,
    PromptResult,
    Summary,
    Verdict,
    judge,
    not_run,
    to_json,
)
from edgekit.verification.volumes import verify_volumes

__all__ = [
    "EverythingVerdict",
    "How",
    "Judgement",
    "PromptKind",
    "PromptResult",
    "Reference",
    "Summary",
    "Trial",
    "Verdict",
    "comparison_picture",
    "judge",
    "not_run",
    "to_json",
    "verify_predictors",
    "verify_volumes",
    "worst_closeup",
]
