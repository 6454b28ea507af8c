"""What `edgekit bench` measured, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.cli.console import console, megabytes, table

if TYPE_CHECKING:
    from edgekit.benchmark.figures import Figures, Task, Timing
    from edgekit.pipeline import Bench

_UNKNOWN = "n/a"


def show_bench(result: Bench) -> None:
    """Print a table per task, the parts of a photo's time, the curve, and what each loads."""
    from edgekit.benchmark.figures import CURVE, Task

    printer = console()
    title = f"milliseconds, {result.threads} threads, {result.rounds} rounds, {result.cpu}"
    for task in Task:
        if task not in CURVE[1:]:
            printer.print(_task_table(result, task, title))
            title = ""
    printer.print(_parts_table(result))
    printer.print(_curve_table(result))
    printer.print(_footprint(result))
    for note in result.notes:
        printer.print(note)
    for figures in result.figures:
        if reason := figures.missing or figures.left_out:
            printer.print(f"{_UNKNOWN}: {figures.name}: {reason}")


def _task_table(result: Bench, task: Task, title: str) -> object:
    columns = ("p50", "p90", "p99", "per second", "times the first")
    listed = table(task.value, "ran", *columns, title=title, right=columns)
    first = next((f.timing(task) for f in result.figures if f.timing(task)), None)
    for figures in result.figures:
        listed.add_row(figures.name, figures.execution, *_time_cells(figures.timing(task), first))
    return listed


def _time_cells(timing: Timing | None, first: Timing | None) -> tuple[str, ...]:
    if timing is None or first is None:
        return (_UNKNOWN,) * 5
    return (
        *(_milliseconds(value) for value in (timing.p50, timing.p90, timing.p99)),
        f"{timing.per_second:.1f}",
        f"{first.p50 / timing.p50:.2f}",
    )


def _parts_table(result: Bench) -> object:
    """Where the time from photo file to mask goes."""
    from edgekit.benchmark.figures import Part, Task

    columns = tuple(part.value for part in Part)
    title = f"{Task.PHOTO}: medians of its parts"
    listed = table("", "ran", *columns, title=title, right=columns)
    for figures in result.figures:
        parts = [figures.parts.get(part) for part in Part]
        listed.add_row(figures.name, figures.execution, *map(_milliseconds, parts))
    return listed


def _curve_table(result: Bench) -> object:
    """Time over the number of boxes."""
    from edgekit.benchmark.figures import CURVE

    rows = [(figures, [figures.timing(task) for task in CURVE]) for figures in result.figures]
    calls = max((row[-1].runs for _, row in rows if row[-1]), default=0)
    columns = tuple(f"{task.prompts}" for task in CURVE)
    runs = "1 run" if calls == 1 else f"{calls} runs"
    title = f"one photo and its boxes, from file to all masks: medians; from 10 boxes on, of {runs}"
    listed = table("boxes", "ran", *columns, title=title, right=columns)
    for figures, row in rows:
        medians = (timing.p50 if timing else None for timing in row)
        listed.add_row(figures.name, figures.execution, *map(_milliseconds, medians))
    return listed


def _footprint(result: Bench) -> object:
    columns = ("files", "peak memory", "load", "of the CPU's peak")
    listed = table("", "runtime", "ran", *columns, right=columns)
    for figures in result.figures:
        listed.add_row(
            figures.name,
            figures.runtime,
            figures.execution,
            megabytes(figures.bytes),
            *_footprint_cells(figures, result.peak_share.get(figures.name)),
        )
    return listed


def _footprint_cells(figures: Figures, share: float | None) -> tuple[str, str, str]:
    return (
        megabytes(figures.peak_bytes) if figures.peak_bytes else _UNKNOWN,
        f"{figures.load_s:.2f} s" if figures.load_s else _UNKNOWN,
        f"{share:.0%}" if share else _UNKNOWN,
    )


def _milliseconds(seconds: float | None) -> str:
    return _UNKNOWN if seconds is None else f"{seconds * 1e3:.1f}"
