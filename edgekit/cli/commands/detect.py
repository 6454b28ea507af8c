"""`edgekit detect`: which model a checkpoint is of."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgekit.models.checkpoints.detect import Detection


def detect(
    file: Annotated[Path, typer.Argument(help="A checkpoint: .pt, .pth, .safetensors or .onnx.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the finding as JSON.")] = False,
) -> None:
    """Say which model FILE is a checkpoint of, from the names and shapes of its tensors."""
    from edgekit.cli.console import print_json
    from edgekit.errors import BadInput
    from edgekit.models.checkpoints.detect import detect as detected

    if not file.is_file():
        raise BadInput(f"There is no checkpoint file at {file}.", expected="a file")
    found = detected(file)
    if as_json:
        print_json(asdict(found))
        return
    typer.echo(f"{file.name}: {found.tensors} tensors, {found.parameters / 1e6:.1f} M parameters")
    typer.echo("\n".join(_words(found, file)))


def _words(found: Detection, file: Path) -> list[str]:
    if found.models:
        more = [
            "Ambiguous: these models have the same tensors, and differ in what is around them."
        ] * (len(found.models) > 1)
        next_step = f"edgekit export {found.models[0]} --target NAME --weights {file}"
        return [f"Fits: {', '.join(found.models)}", *more, f"Next: {next_step}"]
    halves = [
        f"Fits the {half} of: {', '.join(names)}. It needs a file with the other half as well."
        for half, names in (("encoder", found.encoders), ("decoder", found.decoders))
        if names
    ]
    family = f"Its names look like {found.family}." if found.family else "Its names are unknown."
    return halves or [f"It fits no model that edgekit has. {family}"]
