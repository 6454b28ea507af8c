"""Does the shipped file still segment like the PyTorch reference? Torch-free."""

from edgekit.verify.compare import verify
from edgekit.verify.prompts import PromptKind, Trial
from edgekit.verify.verdict import How, PromptResult, Summary, Verdict, judged, not_run, to_json

__all__ = [
    "How",
    "PromptKind",
    "PromptResult",
    "Summary",
    "Trial",
    "Verdict",
    "judged",
    "not_run",
    "to_json",
    "verify",
]
