"""`edgekit bench`: time bundles beside each other and beside PyTorch."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from edgekit.pipeline import Bench


class Against(Enum):
    """What else can be timed. Typer 0.26 takes no list of Literal."""

    PYTORCH = "pytorch"
    COMPILE = "torch-compile"


def bench(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    bundles: Annotated[
        list[Path], typer.Argument(help="Folders written by `edgekit export`, or .zip files.")
    ],
    *,
    against: Annotated[
        list[Against] | None,
        typer.Option("--against", help="Also time the first bundle's PyTorch model; repeatable."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads. Default: all cores.")
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Counted calls per task, at most.")
    ] = 15,
    photo: Annotated[
        Path | None, typer.Option("--photo", help="The photo to segment. Default: a bundled one.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="PNG", help="Draw latency against IoU and number of boxes."),
    ] = None,
    json_file: Annotated[str | None, json_option("all figures")] = None,
) -> None:
    """Time the encoder, the decoder and photo to masks of BUNDLES, taking turns in one run."""
    from edgekit.benchmark.picture import require_matplotlib
    from edgekit.cli.bench_tables import show_bench
    from edgekit.cli.options import require_picture
    from edgekit.cli.progress import reporting
    from edgekit.pipeline import BenchRequest
    from edgekit.pipeline import bench as run

    if plot:
        require_picture(plot)
        require_matplotlib()
    request = BenchRequest(
        bundles=tuple(bundles),
        against=tuple(item.value for item in dict.fromkeys(against or ())),
        threads=threads,
        rounds=rounds,
        photo=photo,
        ious=plot is not None,
    )
    with reporting() as report:
        result = run(request, report=report)
    if plot:
        _draw(result, plot)
    if json_file:
        write_json(asdict(result), json_file)
    if json_file != STDOUT:
        show_bench(result)
    raise typer.Exit(3 if all(figures.missing for figures in result.figures) else 0)


def _draw(result: Bench, where: Path) -> None:
    from edgekit.benchmark.figures import CURVE, Task
    from edgekit.benchmark.picture import Drawn, save_picture

    drawn = [
        Drawn(
            name=f"{figures.name} ({figures.execution})",
            seconds=timing.p50,
            iou=result.iou[figures.name],
            curve={t.task.prompts: t.p50 for t in figures.timings if t.task in CURVE},
        )
        for figures in result.figures
        if (timing := figures.timing(Task.PHOTO)) and figures.name in result.iou
    ]
    if drawn:
        save_picture(where, drawn, machine=f"{result.threads} threads, {result.cpu}")
        say(f"Latency against IoU, and against the number of boxes: {where}", err=True)
