"""The verdict of a verification, as records that print and serialise.

Nothing passes by default. No prompts, an artifact that was not run, or one logit that is not finite
fails the verdict, with the reason in `failures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edgekit.records import NATIVE, BoolArray, Execution, FloatArray, Gate, How, PhotoClient
from edgekit.verification.prompts import PromptKind, Trial

Sample = Literal["photo", "volume"]
"""What is segmented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptResult:
    """One prompt on one photo or volume, candidate against reference, at its resolution.

    `finite` is False if a logit or score was NaN or infinite; the IoU is then 0 and the logit
    figures are None. `chosen` is the index of the reference's best-scored mask, which is the one
    compared. `flipped` says whether the candidate chose another one, by its scores or by the
    family's rule (see `near_ties`); None if there was nothing to choose. `*_truth` are IoUs with
    the annotation, None without one.
    """

    photo: str
    trial: Trial
    iou: float
    finite: bool
    logit_cosine: float | None
    logit_error: float | None
    chosen: int
    flipped: bool | None
    reference_truth: float | None
    candidate_truth: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The results of one prompt kind, or of all kinds (`kind` "all").

    Figures are over prompts: `p5_iou` is the 5th percentile, `flip_share` the share of prompts
    whose choice flipped. A figure is None if no prompt has it.
    """

    kind: str
    prompts: int
    mean_iou: float
    p5_iou: float
    min_iou: float
    min_logit_cosine: float | None
    max_logit_error: float | None
    flip_share: float | None
    reference_truth: float | None
    candidate_truth: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptMasks:
    """Both sides' masks of one prompt, kept for the worst prompts so that they can be drawn.

    `reference` and `candidate` are masks [H, W] at the photo's size. `logit_difference`
    [side, side] is the absolute difference of their low-res logits, empty for a detector; `client`
    says how to enlarge it.
    """

    result: PromptResult
    photo: Path
    client: PhotoClient
    reference: BoolArray
    candidate: BoolArray
    logit_difference: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The outcome of a verification, without the single prompts.

    `how`, `by` and `reason` say what ran: the target's own runtime, a stand-in, or nothing (see
    `Execution`). `photos` is the number of samples. `failures` is empty if and only if `passed`.
    """

    passed: bool
    how: How
    gate: Gate
    photos: int
    failures: tuple[str, ...]
    by: str | None = None
    reason: str | None = None
    overall: Summary | None = None
    kinds: tuple[Summary, ...] = ()
    sample: Sample = "photo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Judgement):
    """The outcome of a verification, with the result of every prompt."""

    results: tuple[PromptResult, ...] = ()
    worst_masks: tuple[PromptMasks, ...] = field(default=(), repr=False, compare=False)

    def worst(self, count: int = 5) -> tuple[PromptResult, ...]:
        """The `count` prompts with the lowest IoU, lowest first."""
        return tuple(sorted(self.results, key=lambda result: result.iou)[:count])


def judge(
    results: Sequence[PromptResult],
    *,
    gate: Gate,
    photos: int,
    execution: Execution = NATIVE,
    sample: Sample = "photo",
) -> Verdict:
    """Judge results by a gate, which applies to all prompts together."""
    overall = summary("all", results) if results else None
    failures = _failures(overall, results, gate)
    present = [kind for kind in PromptKind if _of_kind(kind, results)]
    return Verdict(
        passed=not failures,
        how=execution.how,
        by=execution.by,
        reason=execution.reason,
        gate=gate,
        photos=photos,
        failures=failures,
        overall=overall,
        kinds=tuple(summary(kind, _of_kind(kind, results)) for kind in present),
        results=tuple(results),
        sample=sample,
    )


def not_run(reason: str, *, gate: Gate) -> Verdict:
    """The verdict on an artifact that could not be run here. It never passes."""
    failures = (f"not run: {reason}",)
    return Verdict(
        passed=False, how="not run", reason=reason, gate=gate, photos=0, failures=failures
    )


def summary(kind: str, results: Sequence[PromptResult]) -> Summary:
    """Summarise one or more results."""
    ious = np.array([result.iou for result in results])
    return Summary(
        kind=kind,
        prompts=len(results),
        mean_iou=float(ious.mean()),
        p5_iou=float(np.quantile(ious, 0.05)),
        min_iou=float(ious.min()),
        min_logit_cosine=min(_known(result.logit_cosine for result in results), default=None),
        max_logit_error=max(_known(result.logit_error for result in results), default=None),
        flip_share=_mean(float(r.flipped) for r in results if r.flipped is not None),
        reference_truth=_mean(_known(result.reference_truth for result in results)),
        candidate_truth=_mean(_known(result.candidate_truth for result in results)),
    )


def to_json(verdict: Verdict) -> dict[str, object]:
    """The verdict for `json.dumps`: without NaN and masks, with the worst prompts by index."""
    figures = asdict(replace(verdict, worst_masks=()))
    del figures["worst_masks"]
    return {**figures, "worst": [verdict.results.index(result) for result in verdict.worst()]}


def _failures(
    overall: Summary | None, results: Sequence[PromptResult], gate: Gate
) -> tuple[str, ...]:
    if overall is None:
        return ("no prompt was run",)
    failures = []
    if broken := sum(not result.finite for result in results):
        failures.append(f"{broken} of {len(results)} prompts gave NaN or infinite logits or scores")
    # `not >=` instead of `<`: NaN in a figure or in the gate must fail.
    if not overall.mean_iou >= gate.mean_iou:
        failures.append(f"mean IoU {overall.mean_iou:.5f} is below {gate.mean_iou:g}")
    if not overall.p5_iou >= gate.p5_iou:
        failures.append(f"5th percentile {overall.p5_iou:.5f} is below {gate.p5_iou:g}")
    if not overall.min_iou >= gate.min_iou:
        failures.append(f"minimum IoU {overall.min_iou:.5f} is below {gate.min_iou:g}")
    return tuple(failures)


def _of_kind(kind: PromptKind, results: Sequence[PromptResult]) -> list[PromptResult]:
    return [result for result in results if result.trial.kind is kind]


def _known(figures: Iterable[float | None]) -> list[float]:
    return [figure for figure in figures if figure is not None]


def _mean(figures: Iterable[float]) -> float | None:
    known = list(figures)
    return float(np.mean(known)) if known else None
