"""Training of a proposal network from request to file: `edgekit train --proposals`.

annotations, photos --read--> Examples;  model, weights --load--> PhotoRows
    --train--> network --write--> <model>-proposals.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit import store
from edgekit.catalog import Photo
from edgekit.errors import BadInput
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import ModelRow, WeightsSource
from edgekit.runtime.client_kinds import photo_client
from edgekit.runtime.proposals import ProposalNetwork, write_proposals
from edgekit.train.data.annotations import annotated_photo
from edgekit.train.data.reading import annotated_sets, photos_in_order, split
from edgekit.train.proposals.centres import centre_map
from edgekit.train.proposals.features import PhotoRows
from edgekit.train.proposals.lesson import Example, ProposalLesson
from edgekit.train.result.card_facts import LICENCE
from edgekit.train.stages.arithmetic import training_device
from edgekit.train.stages.driving import Observer, drive
from edgekit.train.stages.lesson import LessonStage

GRID = 64
"""Cells a side of SAM's image embedding."""

STEPS = 600
"""Steps of a run, unless the request says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRequest:
    """The options of `edgekit train --proposals`, as in `TrainRequest`.

    weights: of the frozen encoder. photos: where the annotated photos are.
    """

    model: str
    out: Path
    annotations: tuple[Path, ...] = ()
    photos: Path | None = None
    weights: tuple[str, ...] = ()
    steps: int = STEPS
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalResult:
    """The file of a finished run, and its last figures on held-out photos."""

    proposals: Path
    held_out: dict[str, float]


def train_proposals(request: ProposalRequest, *, observer: Observer) -> ProposalResult:
    """Train to the end, resuming from the checkpoint in `out` if there is one.

    Raises:
        UnknownName: the registry has no such model.
        BadInput: annotations or weights are not given, the model cannot have a proposal network, or
            data or the checkpoint cannot be used.
        WeightsUnavailable: the encoder's weights cannot be found.
    """
    row = registry.model(request.model)
    annotations = _required(request)
    source = locate(row, request.weights)
    photos = photos_in_order(annotated_sets(annotations, request.photos))
    device = training_device()
    rows = PhotoRows(row, source, device=device.type)
    training, held_out = split(_examples(photos, row))
    lesson = ProposalLesson(rows.rows, training, held_out=held_out, seed=request.seed).to(device)
    request.out.mkdir(parents=True, exist_ok=True)
    curve = drive(
        LessonStage(lesson, steps=request.steps),
        request.out / "proposals.pt",
        settings=_settings(request, annotations, source),
        observer=observer,
    )
    file = request.out / f"{row.name}-proposals.json"
    network = ProposalNetwork(
        model=row.name, weights=source.identity, tensors=lesson.network.arrays()
    )
    write_proposals(file, network, licence=LICENCE)
    return ProposalResult(proposals=file, held_out=curve[-1].held_out if curve else {})


def _required(request: ProposalRequest) -> tuple[Path, ...]:
    """The annotations; the encoder's weights are required too."""
    if not request.annotations:
        raise BadInput(
            "A proposal network learns from annotated objects.", expected="--annotations COCO.json"
        )
    if not request.weights:
        raise BadInput(
            "A proposal network is trained on an encoder that is trained already.",
            expected="its weights: --init bundled, official or PATH, as for the bundle",
        )
    return request.annotations


def _examples(photos: Sequence[Photo], row: ModelRow) -> tuple[Example, ...]:
    """The photos that have masks, and their targets. One photo's pixels are in memory at a time."""
    rule = photo_client(row.client).preprocessing
    examples: list[Example] = []
    for photo in photos:
        annotated = annotated_photo(photo)
        if annotated.regions:
            target = centre_map(annotated, rule, grid=GRID)
            examples.append(Example(photo=photo.path, target=target))
    if not examples:
        raise BadInput(
            "The annotations contain no masks to learn from.",
            expected="COCO instances with polygons or RLE masks",
        )
    return tuple(examples)


def _settings(
    request: ProposalRequest, annotations: Sequence[Path], source: WeightsSource
) -> dict[str, str]:
    """What identifies a run. The number of steps is not part of it, so that it may be changed."""
    return {
        "model": request.model,
        "seed": str(request.seed),
        "annotations": " ".join(map(store.sha256_of, annotations)),
        "weights": " ".join(source.identity),
    }
