"""Segment everything on both sides: the masks of a bundle and of the PyTorch reference.

No target has a gate for this mode. SAM's generator keeps a mask if its predicted IoU and stability
exceed thresholds, so rounding of 0.001 adds and removes masks that lie there, and nobody has
measured how many of them a device may lose. The figures are reported; who needs a verdict states
the share of matched masks that it demands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from edgekit.catalog import PhotoSet
from edgekit.records import NATIVE, CocoRle, Execution, FloatArray, How, Rgb, Segment, Strategy
from edgekit.runtime import Predictor
from edgekit.runtime.photo import load_photo
from edgekit.runtime.proposals import ProposalNetwork
from edgekit.verification.matching import Agreement, Matching, agreement, match

OnStep = Callable[[int, int], None]

STEPS = 1000
"""Steps of progress for one photo on one side, whose number of prompts is not known before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """How everything is segmented, the same on both sides.

    strategy: where the prompts come from; None for a model that finds all objects without any.
    grid: points per side; None for boxes, for proposals and for such a model.
    detector: finds the boxes of the strategy "boxes".
    proposals: finds the points of the strategy "proposed".
    """

    strategy: Strategy | None
    grid: int | None = None
    detector: Predictor | None = None
    proposals: ProposalNetwork | None = None

    def boxes(self, pixels: Rgb) -> FloatArray | None:
        """The detector's boxes [N, 4] in a photo; None without a detector.

        Raises:
            BadInput: it is not a detector.
        """
        if self.detector is None:
            return None
        self.detector.set_image(pixels)
        return self.detector.detected_boxes()

    def segments(
        self, predictor: Predictor, boxes: FloatArray | None, on_step: OnStep | None = None
    ) -> list[Segment]:
        """All masks of a predictor's current photo."""
        if self.strategy is None:
            return predictor.everything()
        return predictor.everything(
            self.strategy,
            grid=self.grid,
            boxes=boxes,
            proposals=self.proposals,
            on_progress=on_step,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingVerdict:
    """The outcome of comparing all masks of a bundle with the reference's.

    passed: there was something to compare, and the share of matched masks at the highest threshold
        is at least `min_matched`.
    strategy, grid: as in `Everything`.
    min_matched: what the caller demands; None if nothing is demanded.
    how, by, reason: what ran (see `Execution`).
    failures: why it did not pass; empty if it did.
    agreement: over all photos, one for each of `matching.THRESHOLDS`; empty if nothing ran.
    photos: the matching of each photo.
    """

    passed: bool
    how: How
    strategy: Strategy | None
    grid: int | None
    min_matched: float | None
    failures: tuple[str, ...]
    agreement: tuple[Agreement, ...] = ()
    photos: tuple[Matching, ...] = ()
    by: str | None = None
    reason: str | None = None

    @property
    def reference_masks(self) -> int:
        """The number of the reference's masks on all photos."""
        return sum(photo.reference for photo in self.photos)

    @property
    def candidate_masks(self) -> int:
        """The number of the bundle's masks on all photos."""
        return sum(photo.candidate for photo in self.photos)


def _no_progress(_done: int, _total: int) -> None:
    pass


def compare_everything(
    candidate: Predictor,
    reference: Predictor,
    photos: PhotoSet,
    *,
    everything: Everything,
    on_step: OnStep = _no_progress,
) -> list[Matching]:
    """Match all masks of both sides, photo by photo. One photo's run lengths are in memory.

    `on_step` is called with (done, total), in steps of which each side of a photo has `STEPS`.

    Raises:
        BadInput: a photo cannot be read, or the strategy does not fit.
    """
    matchings: list[Matching] = []
    turns = 2 * len(photos.photos)
    for index, photo in enumerate(photos.photos):
        pixels = load_photo(photo.path)
        boxes = everything.boxes(pixels)
        sides: list[list[CocoRle]] = []
        for predictor in (reference, candidate):
            predictor.set_image(pixels)
            progress = part_of(on_step, turn=2 * index + len(sides), turns=turns)
            segments = everything.segments(predictor, boxes, progress)
            sides.append([segment.rle for segment in segments])
        matchings.append(match(*sides, photo=photo.id))
    return matchings


def part_of(on_step: OnStep, *, turn: int, turns: int) -> OnStep:
    """Progress of one of several turns of equal length, as progress of all."""

    def step(done: int, total: int) -> None:
        on_step(turn * STEPS + STEPS * done // max(total, 1), turns * STEPS)

    return step


def judge_everything(
    photos: Sequence[Matching],
    *,
    everything: Everything,
    min_matched: float | None,
    execution: Execution = NATIVE,
) -> EverythingVerdict:
    """Judge matchings by the share of matched masks. Nothing to compare never passes."""
    figures = agreement(photos)
    failures = _failures(photos, figures[-1], min_matched)
    return EverythingVerdict(
        passed=not failures,
        how=execution.how,
        by=execution.by,
        reason=execution.reason,
        strategy=everything.strategy,
        grid=everything.grid,
        min_matched=min_matched,
        failures=failures,
        agreement=figures,
        photos=tuple(photos),
    )


def everything_not_run(
    reason: str, *, everything: Everything, min_matched: float | None
) -> EverythingVerdict:
    """The verdict on a bundle that could not be run here. It never passes."""
    return EverythingVerdict(
        passed=False,
        how="not run",
        reason=reason,
        strategy=everything.strategy,
        grid=everything.grid,
        min_matched=min_matched,
        failures=(f"not run: {reason}",),
    )


def _failures(
    photos: Sequence[Matching], strict: Agreement, min_matched: float | None
) -> tuple[str, ...]:
    if not any(photo.reference or photo.candidate for photo in photos):
        return ("neither side found a mask, so nothing was compared",)
    # `not >=` instead of `<`: NaN as the limit must fail.
    if min_matched is not None and not strict.share >= min_matched:
        matched = f"matched share {strict.share:.4f} at IoU {strict.threshold:g}"
        return (f"{matched} is below {min_matched:g}",)
    return ()


def to_json(verdict: EverythingVerdict) -> dict[str, object]:
    """The verdict for `json.dumps`, with how many masks more than the reference the bundle has."""
    return {
        **asdict(verdict),
        "reference_masks": verdict.reference_masks,
        "candidate_masks": verdict.candidate_masks,
        "count_difference": verdict.candidate_masks - verdict.reference_masks,
    }
