"""The facts on a run's model card, gathered from its request and its data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit import store
from edgekit.catalog import PhotoSet
from edgekit.records import ModelRow
from edgekit.train.request import TrainRequest, command_of
from edgekit.train.result.model_card import CardFacts
from edgekit.train.stages.arithmetic import computes_in_bf16, training_device
from edgekit.train.stages.schedule import Phase, Schedule

_RESTRICTS = re.compile(r"non-?commercial|no-?deriv|\bby-n[cd]\b|research", re.IGNORECASE)
"""Words of licences that forbid commercial use or derivatives, or allow research alone."""

LICENCE = "Apache-2.0"
"""The licence of the weights that a run produces: edgekit's own."""


def facts_of(
    request: TrainRequest,
    row: ModelRow,
    schedule: Schedule,
    *,
    teacher: str | None,
    held_out: Mapping[str, float],
    coco: Sequence[PhotoSet],
) -> CardFacts:
    """The facts of a run.

    `teacher` describes the teacher, `coco` are the annotation files as read.
    """
    training = [f"Starts from {' '.join(request.init) or 'nothing (random numbers)'}."]
    if teacher:
        training.append(f"Teacher, {request.teacher_steps} steps: {teacher}.")
    if request.annotations:
        training.extend(_phase_text(phase, schedule) for phase in schedule.phases)
        arithmetic = "bfloat16 autocast" if computes_in_bf16(training_device()) else "float32"
        training.append(f"Shipped: the exponential average of the weights. AdamW, in {arithmetic}.")
    return CardFacts(
        title=row.title,
        file=f"{row.name}.safetensors",
        licence=LICENCE,
        seed=request.seed,
        data=_data(request, coco),
        training=tuple(training),
        held_out=held_out,
        command=command_of(request),
    )


def _phase_text(phase: Phase, schedule: Schedule) -> str:
    sizes = ", ".join(
        f"{s.frames} x {s.side} px with {s.prompts} prompts each ({chance:.0%})"
        for chance, s in phase.sizes
    )
    parts = [
        f"Phase {phase.name}, to step {round(phase.until * schedule.steps)}: {sizes}",
        f"share of class-balanced cross-entropy {phase.loss.balance:g}, dice always",
        f"an object of another photo pasted into {phase.style.pasted:.0%} of the frames",
    ]
    if phase.corrections:
        parts.append(
            f"second round with a correcting point in {phase.corrections:.0%} of the steps"
        )
    if phase.distil:
        parts.append(f"feature distillation with weight {phase.distil:g}")
    return "; ".join(parts) + "."


def _data(request: TrainRequest, coco: Sequence[PhotoSet]) -> tuple[str, ...]:
    lines = [f"Photos of {request.photos}, unlabelled."] if request.photos else []
    for photo_set in coco:
        lines.extend(_annotation_lines(photo_set))
    return tuple(lines)


def _annotation_lines(coco: PhotoSet) -> list[str]:
    """Counts and licences of the annotated photos."""
    licences = Counter(photo.licence or "no licence given" for photo in coco.photos)
    count = len(coco.photos)
    masks = sum(i.segmentation is not None for photo in coco.photos for i in photo.instances)
    return [
        f"{coco.name}: {count} photos, {masks} masks (sha256 {store.sha256_of(Path(coco.name))}); "
        "the photos themselves are not part of the checkpoint.",
        f"Annotations: {coco.annotations_licence or 'see the terms of the data set'}.",
        *(f"{number} photos: {name}" for name, number in licences.most_common()),
        *_restrictions(licences),
    ]


def _restrictions(licences: Counter[str]) -> list[str]:
    restricted = [name for name in licences if _RESTRICTS.search(name)]
    if not restricted:
        return []
    share = sum(licences[name] for name in restricted) / licences.total()
    return [
        f"{share:.0%} of the photos forbid commercial use or derivatives. The weights contain none "
        "of the photos, but consider this before you use them for more than demonstration."
    ]
