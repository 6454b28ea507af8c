"""`edgekit bench`: time bundles beside each other and beside PyTorch."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import say

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.benchmark.figures import Timing
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
        Path | None, typer.Option("--plot", metavar="PNG", help="Draw latency against IoU.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Time the encoder, the decoder and photo to mask of BUNDLES, taking turns in one run."""
    from edgekit.benchmark.picture import require_matplotlib
    from edgekit.cli.console import console, print_json
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
    if as_json:
        print_json(asdict(result))
    else:
        _print(result, console())
    raise typer.Exit(3 if all(figures.missing for figures in result.figures) else 0)


def _print(result: Bench, printer: Console) -> None:
    from edgekit.benchmark.figures import Task
    from edgekit.cli.console import table

    title = f"milliseconds, {result.threads} threads, {result.rounds} rounds, {result.cpu}"
    columns = ("p50", "p90", "p99", "per second", "times the first")
    for task in Task:
        listed = table(task.value, "ran", *columns, title=title, right=columns)
        first = next((f.timing(task) for f in result.figures if f.timing(task)), None)
        for figures in result.figures:
            listed.add_row(
                figures.name, figures.execution, *_time_cells(figures.timing(task), first)
            )
        printer.print(listed)
        title = ""
    printer.print(_footprint(result))
    for figures in result.figures:
        if reason := figures.missing or figures.left_out:
            printer.print(f"n/a: {figures.name}: {reason}")


def _time_cells(timing: Timing | None, first: Timing | None) -> tuple[str, ...]:
    if timing is None or first is None:
        return ("n/a",) * 5
    milliseconds = (timing.p50, timing.p90, timing.p99)
    return (
        *(f"{value * 1e3:.1f}" for value in milliseconds),
        f"{timing.per_second:.1f}",
        f"{first.p50 / timing.p50:.2f}",
    )


def _footprint(result: Bench) -> object:
    from edgekit.cli.console import megabytes, table

    columns = ("files", "peak memory", "load", "of the CPU's peak")
    listed = table("", "runtime", "ran", *columns, right=columns)
    for figures in result.figures:
        share = result.peak_share.get(figures.name)
        listed.add_row(
            figures.name,
            figures.runtime,
            figures.execution,
            megabytes(figures.bytes),
            megabytes(figures.peak_bytes) if figures.peak_bytes else "n/a",
            f"{figures.load_s:.2f} s" if figures.load_s else "n/a",
            f"{share:.0%}" if share else "n/a",
        )
    return listed


def _draw(result: Bench, where: Path) -> None:
    from edgekit.benchmark.figures import Task
    from edgekit.benchmark.picture import Dot, save_latency_picture

    dots = [
        Dot(
            name=f"{figures.name} ({figures.execution})",
            seconds=timing.p50,
            iou=result.iou[figures.name],
        )
        for figures in result.figures
        if (timing := figures.timing(Task.PHOTO)) and figures.name in result.iou
    ]
    if dots:
        machine = f"{result.threads} threads, {result.cpu}"
        save_latency_picture(where, dots, title=f"Latency and agreement with PyTorch: {machine}")
        say(f"Latency against IoU: {where}", err=True)
