"""`edgekit predict --everything`: find all objects, and show them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cli.console import say
from edgekit.errors import BadInput

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.cli.everything_options import EverythingOptions
    from edgekit.cli.mask_files import MaskFiles
    from edgekit.records import EverythingRule, Rgb, Segment, Strategy
    from edgekit.report import Report
    from edgekit.runtime import Predictor

MOST_LISTED = 20
"""Objects that the table shows; --json prints all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmented:
    """All objects of a photo, how they were found, and in how many seconds.

    `strategy` and `rule` are None for a detector, which has neither.
    """

    segments: Sequence[Segment]
    strategy: Strategy | None
    rule: EverythingRule | None
    seconds: float


def segment_everything(
    predictor: Predictor, photo: Rgb, options: EverythingOptions, *, name: str, report: Report
) -> Segmented:
    """Find all objects of a photo. What can be refused is refused before it is encoded.

    Args:
        predictor: over the bundle.
        photo: uint8 RGB [H, W, 3].
        options: how.
        name: the photo's file name, as a file of boxes may list it.
        report: receives the stages.

    Raises:
        BadInput: the options do not suit the model, or the boxes or proposals are unusable.
    """
    from edgekit.records import DetectorContract
    from edgekit.runtime.everything import check_request
    from edgekit.runtime.proposals import read_proposals

    if isinstance(predictor.client, DetectorContract):
        return _detected(predictor, photo, options, report)
    strategy, rule = options.by_name, options.rule_from(predictor.client.everything)
    check_request(
        strategy,
        rule,
        with_boxes=bool(options.detector or options.boxes),
        with_proposals=bool(options.proposals),
    )
    proposals = read_proposals(options.proposals) if options.proposals else None
    predictor.check_proposals(proposals)
    boxes = _boxes(options, photo, name, report)
    start = time.monotonic()
    with report.stage("encode"):
        predictor.set_image(photo)
    with report.stage("segment"):
        segments = predictor.everything(
            strategy, boxes=boxes, proposals=proposals, rule=rule, on_progress=report.progress
        )
    seconds = time.monotonic() - start
    return Segmented(segments=segments, strategy=strategy, rule=rule, seconds=seconds)


def _detected(
    predictor: Predictor, photo: Rgb, options: EverythingOptions, report: Report
) -> Segmented:
    if given := options.given():
        raise BadInput(
            f"This model detects all objects at once, so {given[0]} has no meaning for it.",
            expected=f"--everything without {given[0]}, or the bundle of a model with a decoder",
        )
    start = time.monotonic()
    with report.stage("detect"):
        predictor.set_image(photo)
        segments = predictor.everything()
    seconds = time.monotonic() - start
    return Segmented(segments=segments, strategy=None, rule=None, seconds=seconds)


def _boxes(
    options: EverythingOptions, photo: Rgb, name: str, report: Report
) -> npt.ArrayLike | None:
    """The boxes [N, 4] of the file or of the detector; None if neither is given."""
    from edgekit.catalog.box_files import read_boxes
    from edgekit.records import DetectorContract
    from edgekit.runtime import Predictor

    if options.boxes:
        return read_boxes(options.boxes, name)
    if not options.detector:
        return None
    detector = Predictor(options.detector)
    if not isinstance(detector.client, DetectorContract):
        raise BadInput(
            f"{options.detector} answers prompts, and detects no boxes.",
            expected="the bundle of a detector, such as fastsam_s",
            next_step="edgekit export fastsam_s --target T",
        )
    with report.stage("detect"):
        detector.set_image(photo)
        return detector.detected_boxes()


def segment_rows(
    segments: Sequence[Segment], files: MaskFiles | None
) -> Iterator[dict[str, object]]:
    """Each segment as JSON. Masks are decoded one after the other, to be written."""
    for index, segment in enumerate(segments):
        file = files.write(segment.mask, index) if files else None
        # JSON has no NaN, which broken weights give as a score.
        score = segment.predicted_iou if isfinite(segment.predicted_iou) else None
        yield {**asdict(segment), "predicted_iou": score, "file": str(file) if file else None}


def everything_json(
    found: Segmented, rows: Sequence[dict[str, object]], *, photo: Path, size: tuple[int, int]
) -> dict[str, object]:
    """The result as JSON. `size` is the photo's (height, width)."""
    return {
        "photo": str(photo),
        "size": list(size),
        "strategy": found.strategy,
        "parameters": asdict(found.rule) if found.rule else None,
        "seconds": round(found.seconds, 3),
        "segments": rows,
    }


def print_segments(found: Segmented, *, pixels: int) -> None:
    """Print a table of the first objects, their number, and the seconds. `pixels`: the photo's."""
    from edgekit.cli.console import console, table

    columns = ("score", "stability", "area", "of the photo")
    listed = table("object", *columns, right=columns)
    for index, segment in enumerate(found.segments[:MOST_LISTED]):
        stability = "" if segment.stability is None else f"{segment.stability:.3f}"
        share = f"{segment.area / pixels:.1%}"
        listed.add_row(
            str(index), f"{segment.predicted_iou:.3f}", stability, f"{segment.area} px", share
        )
    if found.segments:
        console().print(listed)
    count = len(found.segments)
    say(f"{count} object{'' if count == 1 else 's'} in {found.seconds:.1f} s.")
    if count > MOST_LISTED:
        say("--json prints every one.")
