"""`edgekit detect`: which model a checkpoint belongs to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import say

if TYPE_CHECKING:
    from edgekit.models.checkpoints.detect import Detection


def detect(
    file: Annotated[Path, typer.Argument(help="A checkpoint: .pt, .pth, .safetensors or .onnx.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Name the model that FILE belongs to, by the names and shapes of its tensors."""
    from edgekit.cli.console import print_json
    from edgekit.errors import BadInput
    from edgekit.models.checkpoints.detect import detect as detected

    if not file.is_file():
        raise BadInput(
            f"There is no checkpoint file at {file}.",
            expected="a .pt, .pth, .safetensors or .onnx file",
        )
    detection = detected(file)
    if as_json:
        print_json(asdict(detection))
        return
    parameters = detection.parameters / 1e6
    say(f"{file.name}: {detection.tensors} tensors, {parameters:.1f} M parameters")
    say("\n".join(_findings(detection, file)))


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
    family = (
        f"Its names look like {detection.family}."
        if detection.family
        else "Its names are not those of any family that edgekit knows."
    )
    return halves or [f"It fits no model of edgekit. {family}"]
