"""`edgekit bench`: how fast, beside what else?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.records.enums import StrEnum

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.bench.figures import Timing
    from edgekit.pipeline import Bench


class Against(StrEnum):
    """What the bundles can be compared with besides each other."""

    PYTORCH = "pytorch"
    COMPILE = "torch-compile"


def bench(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    bundles: Annotated[list[Path], typer.Argument(help="Folders written by `edgekit export`.")],
    *,
    against: Annotated[
        list[Against] | None,
        typer.Option("--against", help="The PyTorch model of the first bundle; repeatable."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads. Default: all cores.")
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Counted calls per task, at most.")
    ] = 15,
    photo: Annotated[
        Path | None, typer.Option("--photo", help="What to segment. Default: a bundled photo.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="PNG", help="Draw latency against IoU.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Time BUNDLES at encoder, decoder and photo-to-mask, taking turns in one run."""
    from edgekit.cli.console import console, print_json
    from edgekit.cli.output_file import check_picture
    from edgekit.cli.progress import reporting
    from edgekit.pipeline import BenchRequest
    from edgekit.pipeline import bench as run

    if plot:
        check_picture(plot)
    request = BenchRequest(
        bundles=tuple(bundles),
        against=tuple(item.value for item in dict.fromkeys(against or ())),
        threads=threads,
        rounds=rounds,
        photo=photo,
        ious=plot is not None,
    )
    with reporting() as report:
        found = run(request, report=report)
    if plot:
        _draw(found, plot)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found, console())
    raise typer.Exit(3 if all(figures.missing for figures in found.figures) else 0)


def _print(found: Bench, printer: Console) -> None:
    from edgekit.bench.figures import Task
    from edgekit.cli.console import table

    title = f"milliseconds, {found.threads} threads, {found.rounds} rounds, {found.cpu}"
    columns = ("p50", "p90", "p99", "per second", "times the first")
    for task in Task:
        listed = table(task.value, *columns, title=title, right=columns)
        first = next((f.timing(task) for f in found.figures if f.timing(task)), None)
        for figures in found.figures:
            timing = figures.timing(task)
            listed.add_row(figures.name, *_times(timing, first))
        printer.print(listed)
        title = ""
    printer.print(_footprint(found))
    for figures in found.figures:
        if reason := figures.missing or figures.left_out:
            printer.print(f"n/a: {figures.name}: {reason}", markup=False)


def _times(timing: Timing | None, first: Timing | None) -> tuple[str, ...]:
    if timing is None or first is None:
        return ("n/a",) * 5
    milliseconds = (timing.p50, timing.p90, timing.p99)
    return (
        *(f"{value * 1e3:.1f}" for value in milliseconds),
        f"{timing.per_second:.1f}",
        f"{first.p50 / timing.p50:.2f}",
    )


def _footprint(found: Bench) -> object:
    from edgekit.cli.console import megabytes, table

    columns = ("files", "peak memory", "load", "of the CPU's peak")
    listed = table("", "runtime", *columns, right=columns)
    for figures in found.figures:
        share = found.peak_share.get(figures.name)
        listed.add_row(
            figures.name,
            figures.runtime,
            megabytes(figures.bytes),
            megabytes(figures.peak_bytes) if figures.peak_bytes else "n/a",
            f"{figures.load_s:.2f} s" if figures.load_s else "n/a",
            f"{share:.0%}" if share else "n/a",
        )
    return listed


def _draw(found: Bench, where: Path) -> None:
    from edgekit.bench.figures import Task
    from edgekit.bench.picture import Dot, latency_picture

    dots = [
        Dot(name=figures.name, seconds=timing.p50, iou=found.iou[figures.name])
        for figures in found.figures
        if (timing := figures.timing(Task.PHOTO)) and figures.name in found.iou
    ]
    if dots:
        latency_picture(dots, title=f"{found.threads} threads, {found.cpu}").save(where)
        typer.echo(f"Latency against IoU: {where}", err=True)
