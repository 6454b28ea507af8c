"""What a caller asks the library for: one record per function of `edgekit.pipeline`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.records.segments import Strategy

Against = Literal["pytorch", "torch-compile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Export one model for one target.

    Attributes:
        model: a name of `edgekit models`.
        target: a name of `edgekit targets`, or the path of a profile, `NAME.toml`.
        weights: as for `--weights`: "official", "bundled", "seeded", "seeded:N" or files. Empty
            takes the official weights where they can be had, else those that edgekit ships.
        calibration: an image set, a folder or a COCO JSON; None takes edgekit's own photos.
        photos: the folder of the photos of a COCO JSON; None searches as for `EvaluateRequest`.
        float_fallback: if INT8 fails the gate on calibration photos, move blocks back to float
            until it passes.
        out: the folder in which `<model>-<target>` is made.
        force: replace an existing bundle, and ship INT8 that is slower than float.
        verify: compare the bundle's masks with PyTorch's at the end.
    """

    model: str
    target: str
    weights: tuple[str, ...] = ()
    calibration: str | None = None
    photos: Path | None = None
    float_fallback: bool = False
    out: Path = Path("dist")
    force: bool = False
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """Compare a bundle's masks with those of the PyTorch model that it was made from.

    Attributes:
        bundle: the bundle's folder, or a .zip of it.
        photos: a folder or a COCO JSON; None takes edgekit's photos that the bundle was not
            calibrated on. Beside `annotations`, the folder of its photos.
        annotations: a COCO JSON, whose photos are taken; searched as for `EvaluateRequest`.
        weights: where the reference's weights are; empty follows the manifest.
        reference: a file of `RecordRequest`, whose answers stand for PyTorch's; None runs PyTorch.
        min_iou: replaces the smallest mask IoU (0 to 1) that the target's gate demands.
    """

    bundle: Path
    photos: Path | None = None
    annotations: Path | None = None
    weights: tuple[str, ...] = ()
    reference: Path | None = None
    min_iou: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """Record what PyTorch answers on photos, for a device that verifies without it.

    Attributes:
        bundle, photos, annotations, weights: as for `VerifyRequest`.
        out: the file to write.
    """

    bundle: Path
    out: Path
    photos: Path | None = None
    annotations: Path | None = None
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyEverythingRequest:
    """Compare all masks that a bundle finds with those of the PyTorch model.

    Attributes:
        bundle, photos, annotations, weights: as for `VerifyRequest`.
        strategy: where the prompts come from; None takes a grid.
        grid: points per side of the photo; None takes 8, since PyTorch has to decode them too.
        detector: a bundle such as FastSAM's, which finds the boxes of the strategy "boxes".
        proposals: a file of `edgekit train --proposals`, which finds the points of the strategy
            "proposed".
        min_matched: demand this share (0 to 1) of masks that match at an IoU of 0.9; None demands
            nothing.
    """

    bundle: Path
    photos: Path | None = None
    annotations: Path | None = None
    weights: tuple[str, ...] = ()
    strategy: Strategy | None = None
    grid: int | None = None
    detector: Path | None = None
    proposals: Path | None = None
    min_matched: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """Time bundles beside each other, in turns.

    Attributes:
        bundles: their folders or .zip files, whose names must differ.
        against: also time the PyTorch model of the first bundle, eager or compiled.
        threads: CPU threads; None takes all cores.
        rounds: counted calls per task, at most.
        photo: what is segmented; None takes the first of edgekit's photos.
        ious: also measure each bundle's mean mask IoU with PyTorch, for a picture.
    """

    bundles: tuple[Path, ...]
    against: tuple[Against, ...] = ()
    threads: int | None = None
    rounds: int = 15
    photo: Path | None = None
    ious: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """Score a bundle's masks against annotations.

    Attributes:
        bundle: the bundle's folder, or a .zip of it.
        annotations: a COCO JSON with instances.
        photos: the folder of its photos; None searches beside it, in `images/` and in COCO's own
            layout.
        survey: also score one, two and three random points and the tight box of each mask, as the
            survey arXiv 2410.04960 does.
    """

    bundle: Path
    annotations: Path
    photos: Path | None = None
    survey: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateDetectionsRequest:
    """Measure the average precision of a bundle's masks for a detector's boxes.

    Attributes:
        bundle, annotations, photos: as for `EvaluateRequest`.
        detections: the detector's COCO results, a JSON with boxes, scores and categories.
    """

    bundle: Path
    annotations: Path
    detections: Path
    photos: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateEverythingRequest:
    """Measure how many annotated objects are among all masks that a bundle finds.

    Attributes:
        bundle, annotations, photos: as for `EvaluateRequest`.
        strategy, detector, proposals: as for `VerifyEverythingRequest`.
        grid: points per side of the photo; None takes the family's, which is 32 for SAM.
    """

    bundle: Path
    annotations: Path
    photos: Path | None = None
    strategy: Strategy | None = None
    grid: int | None = None
    detector: Path | None = None
    proposals: Path | None = None
