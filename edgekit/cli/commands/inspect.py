"""`edgekit inspect`: the contents and the origin of a bundle."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import STDOUT, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from edgekit.records import Artifact, Manifest, Target, TensorSpec, WeightsSource

TOP_OPS = 8
MOST_NAMED = 3


def inspect(
    bundle: Annotated[
        Path, typer.Argument(help="A folder written by `edgekit export`, or its .zip.")
    ],
    *,
    precision: Annotated[
        bool, typer.Option("--precision", help="Show the precision of each block, and the reasons.")
    ] = False,
    json_file: Annotated[str | None, json_option("the manifest (or the plan)")] = None,
) -> None:
    """Show the tensors, operators, precision and provenance of BUNDLE."""
    from edgekit.cli.console import console
    from edgekit.cli.precision_table import show_precision
    from edgekit.store import read_bundle

    opened = read_bundle(bundle)
    manifest = opened.manifest
    _warn_of_options(manifest)
    if precision:
        show_precision(opened, json_file)
        return
    if json_file:
        write_json(asdict(manifest), json_file)
    if json_file == STDOUT:
        return
    printer = console()
    _print_identity(manifest, printer)
    for artifact in manifest.artifacts:
        _print_artifact(artifact, printer)


def _print_identity(manifest: Manifest, printer: Console) -> None:
    from edgekit.cli.console import table
    from edgekit.cli.verdict import gate_text

    target = manifest.target
    shown = table("", f"{manifest.model} for {target.name}")
    for name, value in (
        ("model", f"{manifest.title} ({manifest.family}, {manifest.variant})"),
        ("runs on", f"{target.device}, {target.runtime} {target.runtime_versions}"),
        ("precision", f"{target.precision}, opset {target.opset}"),
        ("prompt slots", _prompt_slots(target)),
        ("options", _options(target.options) or "none"),
        ("gate", gate_text(target.gate)),
        ("weights", _provenance(manifest.weights)),
        ("licences", f"model {manifest.licence}; weights {manifest.weights.licence}"),
        ("golden vectors", ", ".join(file.path for file in manifest.golden) or "none"),
        ("made", f"{manifest.created} by edgekit {manifest.edgekit}"),
        ("tools", ", ".join(f"{tool} {version}" for tool, version in manifest.tools.items())),
    ):
        shown.add_row(name, value)
    printer.print(shown)


def _prompt_slots(target: Target) -> str:
    batches = (f"{slots} (for {prompts} prompts)" for prompts, slots in target.prompt_batches)
    return " or ".join([*map(str, target.prompt_slots), *batches]) or "dynamic"


def _options(options: Mapping[str, str]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in options.items())


def _warn_of_options(manifest: Manifest) -> None:
    """Say which options keep other commands from opening the bundle."""
    from edgekit.catalog.options import refused_of
    from edgekit.catalog.runtimes import RUNTIMES
    from edgekit.cli.console import say

    if manifest.target.runtime not in RUNTIMES:
        return
    found = (refused_of(manifest.target, artifact) for artifact in manifest.artifacts)
    if refused := dict.fromkeys(chain.from_iterable(found)):
        shown = "; ".join([*refused][:MOST_NAMED])
        say(
            f"Warning: edgekit does not run this bundle: {shown}\n"
            "Next: export it again: edgekit export MODEL --target TARGET --force",
            err=True,
        )


def _provenance(weights: WeightsSource) -> str:
    seed = [] if weights.seed is None else [f"seed {weights.seed}"]
    given = _given(weights)
    files = [
        "\n  ".join((f"{Path(file.path).name} sha256 {file.sha256}", *given.get(index, ())))
        for index, file in enumerate(weights.files)
    ]
    warning = [f"WARNING: {weights.warning}"] if weights.warning else []
    return "\n".join([weights.kind, *seed, *files, *warning])


def _given(weights: WeightsSource) -> dict[int, list[str]]:
    """What each file gave to each graph; shards are described at the first."""
    given: dict[int, list[str]] = {}
    for origin in weights.origins:
        names = ", ".join(prefix + "*" * prefix.endswith(".") for prefix in origin.prefixes)
        shards = f" of all {len(origin.files)} shards" if origin.files[1:] else ""
        line = f"{origin.role}: {origin.tensors} tensors{shards} ({names})"
        given.setdefault(min(origin.files, default=0), []).append(line)
    return given


def _print_artifact(artifact: Artifact, printer: Console) -> None:
    from edgekit.cli.console import megabytes, table

    size = megabytes(sum(file.bytes for file in artifact.files))
    title = f"{artifact.role}: {artifact.entry} ({artifact.format}, {size})"
    tensors = table("", "tensor", "type", "shape", title=title)
    for way, specs in (("in", artifact.inputs), ("out", artifact.outputs)):
        for spec in specs:
            tensors.add_row(way, spec.name, spec.dtype, _shape(spec))
    printer.print(tensors)
    if artifact.options:
        printer.print(f"options: {_options(artifact.options)}")
    printer.print(f"operators: {_common_ops(artifact)}\n")


def _shape(spec: TensorSpec) -> str:
    return " x ".join(str(side) for side in spec.shape)


def _common_ops(artifact: Artifact) -> str:
    common = sorted(artifact.ops.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{op} x{count}" for op, count in common[:TOP_OPS])
    rest = len(common) - TOP_OPS
    return f"{shown}, and {rest} more kinds" if rest > 0 else shown
