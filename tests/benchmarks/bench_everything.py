"""Segment everything: seconds a photo and average recall, by strategy and bundle.

    python tests/benchmarks/bench_everything.py dist/nanosam-x86-fp32 dist/nanosam-x86-int8
        [--photos 2] [--annotations COCO.json] [--grids 16 32] [--detector dist/fastsam_s-x86-fp32]
        [--proposals nanosam-proposals.json] [--confident 1.5 3] [--pytorch nanosam]

Bundles and strategies take turns on each photo, so that a busy machine slows them alike: read the
ratios. `--pytorch` adds the loop that people run today on the same photo: PyTorch eager, 64 points
a call, every mask enlarged to the photo before it is judged. The table is Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgekit import catalog
from edgekit.benchmark.idle import wait_until_idle
from edgekit.catalog import Photo
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import load
from edgekit.models.reference import reference_sessions
from edgekit.records import FloatArray, Segment
from edgekit.runtime import Predictor
from edgekit.runtime.decoder_feeds import decoder_feeds
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import Placement, encoder_input, placement
from edgekit.runtime.prompts import Prompt
from edgekit.runtime.proposals import ProposalNetwork, read_proposals
from edgekit.verification.everything import Everything, OnStep
from edgekit.verification.recall import Found, average_recall, objects_found

EAGER_BATCH = 64
LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchical(Everything):
    """The hierarchical strategy with another logit at which a pixel needs no more prompts."""

    confident: float

    def segments(
        self, predictor: Predictor, boxes: FloatArray | None, on_step: OnStep | None = None
    ) -> list[Segment]:
        """All masks of a predictor's current photo."""
        assert boxes is None, "the strategy takes none"
        rule = replace(predictor.client.everything, grid=self.grid, confident=self.confident)
        return predictor.everything("hierarchical", rule=rule, on_progress=on_step)


@dataclass
class Row:
    """One contestant: a bundle with a strategy."""

    bundle: str
    way: str
    predictor: Predictor
    everything: Everything
    seconds: list[float] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)

    def take_turn(self, photo: Photo) -> None:
        """Segment a photo, the encoder and a detector included."""
        wait_until_idle()
        totals: list[int] = []
        start = time.perf_counter()
        found = objects_found(
            self.predictor, photo, self.everything, lambda _, total: totals.append(total)
        )
        self.seconds.append(time.perf_counter() - start)
        self.prompts.append(totals[-1] if totals else 0)
        if found:
            self.found.append(found)


def ways(
    asked: argparse.Namespace, detector: Predictor | None, proposals: ProposalNetwork | None
) -> dict[str, Everything]:
    """The strategies by the name that the table shows."""
    made = {f"grid {grid}": Everything(strategy="grid", grid=grid) for grid in asked.grids}
    made["hierarchical 32"] = Everything(strategy="hierarchical", grid=32)
    for level in asked.confident:
        made[f"hierarchical 32, {level:g}"] = Hierarchical(
            strategy="hierarchical", grid=32, confident=level
        )
    if detector:
        made["boxes"] = Everything(strategy="boxes", detector=detector)
    if proposals:
        made["proposed"] = Everything(strategy="proposed", proposals=proposals)
    return made


class EagerLoop:
    """SAM's generator in PyTorch eager: 64 points a call, every mask enlarged before it is judged.

    Its steps up to the thresholds, which are nearly all of its time: no crops, no suppression.
    """

    def __init__(self, model: str, grid: int, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.row = registry.model(model)
        split = load(self.row, locate(self.row, ("bundled",)))
        self.encoder, self.decoder = reference_sessions(split)
        self.client = self.row.client_for("bundled")
        self.grid = grid

    def seconds(self, path: Path) -> float:
        """Segment a photo."""
        start = time.perf_counter()
        pixels = load_photo(path)
        height, width = pixels.shape[:2]
        image = encoder_input(pixels, self.client.preprocessing)
        features = self.encoder.run({"image": image})
        centres = (np.arange(self.grid) + 0.5) / self.grid
        prompts = [
            Prompt.checked(points=[(x * width, y * height)], labels=[1])
            for y in centres
            for x in centres
        ]
        for first in range(0, len(prompts), EAGER_BATCH):
            batch = prompts[first : first + EAGER_BATCH]
            feeds = decoder_feeds(batch, (height, width), self.client)
            result = self.decoder.run({**features, **feeds})
            self._kept(result, placement((height, width), self.client.preprocessing))
        return time.perf_counter() - start

    def _kept(self, result: dict[str, FloatArray], place: Placement) -> int:
        """How many masks of a batch pass the thresholds."""
        import torch
        import torch.nn.functional as F

        rule, frame = self.client.everything, self.client.preprocessing.frame
        logits = torch.from_numpy(result["low_res_masks"][:, 1:])
        framed = F.interpolate(logits, (frame, frame), mode="bilinear")
        inside = framed[..., : place.resized[0], : place.resized[1]]
        large = F.interpolate(inside, place.photo, mode="bilinear")
        inner = (large > rule.stability_offset).sum((2, 3))
        outer = (large > -rule.stability_offset).sum((2, 3))
        stable = inner / outer.clamp(min=1) >= rule.stability
        sure = torch.from_numpy(result["iou_predictions"][:, 1:]) > rule.predicted_iou
        return int((stable & sure).sum())


def printed(rows: list[Row], eager: list[float]) -> str:
    """The Markdown table; times are medians, recall is over all photos."""
    lines = [
        "| bundle | strategy | prompts | s a photo | masks | AR@1000 |",
        "|---|---|--:|--:|--:|--:|",
    ]
    if eager:
        lines.append(f"| PyTorch eager | grid 32 | 1024 | {statistics.median(eager):.1f} | | |")
    for row in rows:
        recall = average_recall(row.found)[0].recall[LIMIT]
        masks = statistics.mean(found.masks for found in row.found)
        seconds, prompts = statistics.median(row.seconds), statistics.mean(row.prompts)
        lines.append(
            f"| {row.bundle} | {row.way} | {prompts:.0f} | {seconds:.1f} | {masks:.0f} "
            f"| {recall:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Time and score, then print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--photos", type=int, default=2)
    parser.add_argument("--annotations", type=Path, help="COCO JSON; default: edgekit's photos")
    parser.add_argument("--grids", nargs="+", type=int, default=[16, 32])
    parser.add_argument(
        "--confident", nargs="+", type=float, default=[], help="logits to try in hierarchical mode"
    )
    parser.add_argument("--detector", type=Path, help="a FastSAM bundle, for the strategy boxes")
    parser.add_argument("--proposals", type=Path, help="a network, for the strategy proposed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pytorch", metavar="MODEL", help="time this model's loop in eager mode")
    asked = parser.parse_args()
    detector = Predictor(asked.detector, threads=asked.threads) if asked.detector else None
    proposals = read_proposals(asked.proposals) if asked.proposals else None
    rows = [
        Row(path.name, way, predictor, everything)
        for path in asked.bundles
        for predictor in [Predictor(path, threads=asked.threads)]
        for way, everything in ways(asked, detector, proposals).items()
    ]
    annotated = catalog.photos_from_coco(asked.annotations) if asked.annotations else None
    photos = (annotated or catalog.image_set()).photos[: asked.photos]
    loop = EagerLoop(asked.pytorch, 32, asked.threads) if asked.pytorch else None
    eager: list[float] = []
    for photo in photos:
        if loop:
            eager.append(loop.seconds(photo.path))
        for row in rows:
            row.take_turn(photo)
        print(printed(rows, eager), flush=True)


if __name__ == "__main__":
    main()
