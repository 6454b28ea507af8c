"""What the card of a run tells, gathered from its request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit import store
from edgekit.records import ModelRow
from edgekit.train.request import TrainRequest, command_of
from edgekit.train.result.model_card import CardFacts
from edgekit.train.stages.recipe import Phase, Recipe

LICENCE = "Apache-2.0"
"""Of the weights that a run makes: edgekit's own."""


def facts_of(
    request: TrainRequest,
    row: ModelRow,
    recipe: Recipe,
    *,
    teacher: str | None,
    held_out: Mapping[str, float],
) -> CardFacts:
    """The facts of a run; `teacher` is what is said about it."""
    steps = [f"Starts from {' '.join(request.init) or 'nothing (random numbers)'}."]
    if teacher:
        steps.append(f"Teacher, {request.teacher_steps} steps: {teacher}.")
    if request.annotations:
        steps.extend(_phase_text(phase, recipe) for phase in recipe.phases)
        steps.append("Shipped: the exponential average of the weights. AdamW, bfloat16 autocast.")
    return CardFacts(
        title=row.title,
        file=f"{row.name}.safetensors",
        licence=LICENCE,
        seed=request.seed,
        data=_data(request),
        recipe=tuple(steps),
        held_out=held_out,
        command=command_of(request),
    )


def _phase_text(phase: Phase, recipe: Recipe) -> str:
    sizes = ", ".join(
        f"{s.windows} x {s.size} px with {s.prompts} prompts each ({chance:.0%})"
        for chance, s in phase.menu
    )
    parts = [
        f"Phase {phase.name}, to step {round(phase.until * recipe.steps)}: {sizes}",
        f"share of class-balanced cross-entropy {phase.loss.balance:g}, dice always",
        f"pasted instances {phase.style.pasted:g}, shapes {phase.style.shapes:g} a window",
    ]
    if phase.corrections:
        parts.append(
            f"second round with a correcting point in {phase.corrections:.0%} of the steps"
        )
    if phase.distil:
        parts.append(f"feature hints {phase.distil:g}")
    return "; ".join(parts) + "."


def _data(request: TrainRequest) -> tuple[str, ...]:
    lines = [f"Photos of {request.photos}, unlabelled."] if request.photos else []
    if request.annotations:
        lines.extend(_annotation_lines(request.annotations))
    return tuple(lines)


def _annotation_lines(path: Path) -> list[str]:
    """Counts and licences of a COCO file that was read already."""
    document: dict[str, Any] = json.loads(path.read_bytes())
    names = {entry["id"]: entry["name"] for entry in document.get("licenses", ())}
    licences = Counter(names.get(i.get("license"), "no licence given") for i in document["images"])
    terms = document.get("info", {}).get("annotations_licence", "see the terms of the data set")
    count, masks = len(document["images"]), len(document["annotations"])
    return [
        f"{path}: {count} photos, {masks} masks (sha256 {store.sha256_of(path)}); the photos "
        "themselves are not part of the checkpoint.",
        f"Annotations: {terms}.",
        *(f"{number} photos: {name}" for name, number in licences.most_common()),
        *_restrictions(licences),
    ]


def _restrictions(licences: Counter[str]) -> list[str]:
    bound = [n for n in licences if "noncommercial" in n.lower() or "noderiv" in n.lower()]
    if not bound:
        return []
    share = sum(licences[name] for name in bound) / licences.total()
    return [
        f"{share:.0%} of the photos forbid commercial use or derivatives of themselves. None is in "
        "the weights, but weigh this before you use them for more than demonstration."
    ]
