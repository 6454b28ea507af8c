"""`edgekit models`: the models that can be exported."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from edgekit.models.verified import Verification
    from edgekit.records import CheckpointFile, ModelRow

DEFINITIONS = {
    "parity": "computes what upstream's code computes",
    "paper": "follows the paper's description; no weights exist, no accuracy is claimed",
}


def models(
    name: Annotated[str | None, typer.Argument(help="Show this model in full.")] = None,
    json_file: Annotated[str | None, json_option("the table")] = None,
) -> None:
    """List the models with size, work, input, licence, checkpoints and verified targets."""
    from edgekit.models import registry

    if name is None:
        if json_file:
            write_json([_model_json(row) for row in registry.models()], json_file)
        if json_file != STDOUT:
            _print_list(registry.models())
        return
    row = registry.model(name)
    if json_file:
        write_json(_model_json(row), json_file)
    if json_file != STDOUT:
        _print_one(row)


def _model_json(row: ModelRow) -> dict[str, object]:
    from edgekit.models.efficiency import efficient_error_rate
    from edgekit.models.verified import verifications

    own = [
        asdict(verification) for verification in verifications() if verification.model == row.name
    ]
    rate = efficient_error_rate(row)
    return {**asdict(row), "efficient_error_rate": rate, "verifications": own}


def _print_list(rows: tuple[ModelRow, ...]) -> None:
    from edgekit.cli.console import console, table
    from edgekit.models.verified import verified_devices

    figures = ("parameters", "GMACs", "input")
    columns = ("licence", "checkpoints that load", "verified for")
    listed = table("model", "family", *figures, *columns, right=figures)
    for row in rows:
        facts = (row.licence, ", ".join(row.forms), "\n".join(verified_devices(row.name)))
        listed.add_row(row.name, row.family, *_figures(row), *facts)
    console().print(listed)
    say(
        "edgekit models NAME shows where to get the weights, which targets were verified, and how."
        " GMACs are 10^9 multiply-accumulates of the encoder on one photo."
    )


def _figures(row: ModelRow) -> tuple[str, str, str]:
    """Parameters of the model, GMACs of its encoder, and the side of its input."""
    return (
        f"{row.parameters / 1e6:.1f} M",
        f"{row.encoder_gmacs:,.1f}",
        str(row.client.preprocessing.frame),
    )


def _print_one(row: ModelRow) -> None:
    from edgekit.cli.console import console, table
    from edgekit.models.efficiency import efficient_error_rate

    parameters, work, _ = _figures(row)
    shown = table("", row.name)
    for key, value in (
        ("what it is", row.title),
        ("family", f"{row.family}, {row.variant}"),
        ("parameters", parameters),
        ("encoder", f"{work} GMACs on {_input(row)}"),
        ("efficient error rate", f"{efficient_error_rate(row):.3f} (SAM ViT-H is 1)"),
        ("licence", row.licence),
        ("weights", _weights(row)),
        ("checkpoints that load", ", ".join(row.forms)),
        ("origin", row.paper),
        ("definition", DEFINITIONS[row.status]),
        ("targets", _targets(row)),
        ("warning", row.warning or "none"),
        ("verified", _verified(row.name)),
    ):
        shown.add_row(key, value)
    console().print(shown)


def _input(row: ModelRow) -> str:
    sides = " x ".join([str(row.client.preprocessing.frame)] * row.graph.axes)
    return f"{sides} {'pixels' if row.graph.axes == 2 else 'voxels'}"


def _targets(row: ModelRow) -> str:
    """The targets that the model is exported for, and why no others."""
    if row.limit is None:
        return "all"
    precisions = ", ".join(row.limit.precisions)
    return f"{', '.join(row.limit.runtimes)}; {precisions}: {row.limit.reason}"


def _verified(model: str) -> str:
    """The outcome of each target that was run, one per line."""
    from edgekit.models.verified import verifications

    own = [verification for verification in verifications() if verification.model == model]
    lines = [*map(_outcome, own), "other targets: not run"]
    if any(map(_stale, own)):
        lines.append("stale: not known to be of this code; `edgekit matrix` runs it anew")
    return "\n".join(lines)


def _outcome(verification: Verification) -> str:
    if verification.mean_iou is None:
        return f"{verification.target}: failed, {verification.error}"
    weights, prompts = f"{verification.weights} weights", f"{verification.prompts} prompts"
    stale = ("stale",) if _stale(verification) else ()
    circumstances = ", ".join((verification.how, weights, prompts, verification.date, *stale))
    ious = f"IoU mean {verification.mean_iou:.4f}, min {verification.min_iou:.4f}"
    outcome = "passed" if verification.passed else "failed"
    if not verification.conclusive:
        outcome = "exported and ran; random weights show no more"
    return f"{verification.target}: {outcome}, {ious} ({circumstances})"


def _stale(verification: Verification) -> bool:
    """Whether the outcome is not known to be of this code."""
    from edgekit import catalog
    from edgekit.matrix.identity import code_of
    from edgekit.models import registry

    if verification.code is None:
        return True
    target = catalog.target(verification.target)
    return verification.code != code_of(registry.model(verification.model), target)


def _weights(row: ModelRow) -> str:
    """The weights that can be had, one per line."""
    from edgekit.cli.console import megabytes
    from edgekit.models.checkpoints import bundled_path

    lines = [f"official: {_file(file)}, {file.url}" for file in row.checkpoints]
    if bundled := bundled_path(row):
        lines.append(f"bundled: {megabytes(bundled.stat().st_size)}")
    return "\n".join(lines) or "none are public"


def _file(file: CheckpointFile) -> str:
    from edgekit.cli.console import megabytes

    return f"{file.filename}, {megabytes(file.bytes)}" if file.bytes else file.filename
