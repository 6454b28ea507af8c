"""`edgekit detect`: which model a checkpoint belongs to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from edgekit.models.checkpoints.detect import Detection, Near

_LISTED = 3


def detect(
    file: Annotated[
        Path,
        typer.Argument(
            help="A checkpoint: .pt, .pth, .safetensors or .onnx; FILE#KEY for one of several "
            "state dicts in it; or the folder or index of a model in several files."
        ),
    ],
    json_file: Annotated[str | None, json_option("the findings")] = None,
) -> None:
    """Name the model that FILE belongs to, by the names and shapes of its tensors.

    Exits with 2 if no model can be made of it.
    """
    from edgekit.models.checkpoints.detect import detect as detected

    detection = detected(file)
    if json_file:
        write_json(asdict(detection), json_file)
    if json_file != STDOUT:
        parameters = detection.parameters / 1e6
        say(f"{file.name}: {detection.tensors} tensors, {parameters:.1f} M parameters")
        say("\n".join((*detection.notes, *_findings(detection, file))))
    if not detection.fits:
        raise typer.Exit(2)


def _findings(detection: Detection, file: Path) -> list[str]:
    if detection.models:
        several = len(detection.models) > 1
        ambiguous = ["Ambiguous: these models have the same tensors and differ in the code."]
        next_step = f"edgekit export {detection.models[0]} --target NAME --weights {file}"
        fits = f"Fits: {', '.join(detection.models)}"
        return [fits, *(ambiguous if several else []), f"Next: {next_step}"]
    halves = [
        f"Fits the {half} of: {', '.join(names)}. An export also needs a file with the other half."
        for half, names in (("encoder", detection.encoders), ("decoder", detection.decoders))
        if names
    ]
    parts = [
        f"Fits the {' and '.join(detection.parts)} of: {', '.join(detection.parts_of)}. "
        "An export also needs a file of the whole model, of which it replaces that part."
    ]
    return halves or (parts if detection.parts else _misfit(detection))


def _misfit(detection: Detection) -> list[str]:
    """Why nothing fits: a few tensors, what the tensors tell, or the family alone."""
    if detection.near:
        return _near(detection.near)
    family = (
        f"It looks like {detection.family}."
        if detection.family
        else "Its names are not those of any family that edgekit knows."
    )
    lines = ["It fits no model of edgekit.", family, detection.reason or ""]
    way_out = [f"Next: {detection.way_out}"] if detection.way_out else []
    return [" ".join(filter(None, lines)), *way_out]


def _near(near: Near) -> list[str]:
    problems = (
        ("missing", near.missing),
        ("unexpected", near.unexpected),
        ("of another shape", tuple(bad.name for bad in near.misshapen)),
    )
    count = sum(len(names) for _, names in problems)
    listed = [f"{_some(names)} {kind}" for kind, names in problems if names]
    whole = [f"Whole: {', '.join(near.whole)}."] if near.whole else []
    return [
        f"Fits {', '.join(near.models)} but for {count} tensor{'s' if count > 1 else ''}: "
        f"{'; '.join(listed)}.",
        *whole,
        "An export needs them right: save the whole model's state dict.",
    ]


def _some(names: tuple[str, ...]) -> str:
    from edgekit.store import printable

    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(printable(name) for name in names[:_LISTED]) + more
