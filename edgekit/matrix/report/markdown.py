"""The overview as Markdown, for $GITHUB_STEP_SUMMARY."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from edgekit.matrix.differences import Difference
from edgekit.matrix.overview import Overview, Row, ShownCell
from edgekit.matrix.report.figures import (
    MISSING,
    FigureTexts,
    figures_of,
    first_line,
    pytorch_figures_of,
)
from edgekit.matrix.states import PASSED, State

_SIGNS = {
    State.PASSED_NATIVE: "🟢",
    State.PASSED_EMULATED: "🔵",
    State.KNOWN_FAILURE: "🟡",
    State.STALE: "⚪",
    State.NOT_ASKED: "",
    State.REFUSED: "🟠",
}
_FAILED_SIGN = "🔴"
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown_from(overview: Overview, changes: Sequence[Difference] | None) -> str:
    """Counts, changes, the matrix, and the reason of each cell that did not pass."""
    blocks = [
        "## Models by targets",
        ", ".join(f"**{count}** {state}" for state, count in overview.counts.items()),
        *_changes(changes),
        _matrix(overview),
        *_reasons(overview.cells),
        *(f"> {_escaped(notice)}" for notice in overview.notices),
    ]
    return "\n\n".join(blocks) + "\n"


def _changes(changes: Sequence[Difference] | None) -> Iterator[str]:
    if changes is None:
        return
    yield "### Changed since the earlier results"
    rows = (
        (change.change, change.place.model, change.place.target, first_line(change.text))
        for change in changes
    )
    yield _table(("change", "model", "target", "from and to"), rows) if changes else "Nothing."


def _matrix(overview: Overview) -> str:
    columns = overview.columns
    hosts = {host for _, host in columns}
    heads = [target if len(hosts) == 1 else f"{target}, {host}" for target, host in columns]
    rows = (line for row, cells in overview.grid.items() for line in _lines(row, cells))
    return _table(("model", *heads), rows)


def _lines(row: Row, cells: Sequence[ShownCell]) -> Iterator[tuple[str, ...]]:
    """PyTorch's line, if it was timed, and that of the bundles."""
    reference = [pytorch_figures_of(cell) for cell in cells]
    if any(reference):
        yield f"{row[0]}, PyTorch", *map(_reference, reference)
    yield _row_title(row), *map(_cell, cells)


def _row_title(row: Row) -> str:
    model, weights = row
    return f"{model} ({' '.join(weights)})" if weights else model


def _cell(cell: ShownCell) -> str:
    state = f"{_sign(cell.state)} {cell.state}".lstrip()
    if cell.result is None:
        return state
    figures = figures_of(cell)
    return " · ".join((state, figures.min_iou, figures.encoder, figures.many_prompts, figures.size))


def _reference(figures: FigureTexts | None) -> str:
    if figures is None:
        return MISSING
    return " · ".join(("reference", figures.encoder, figures.many_prompts, figures.size))


def _sign(state: State) -> str:
    return _SIGNS.get(state, _FAILED_SIGN)


def _reasons(cells: Iterable[ShownCell]) -> Iterator[str]:
    rows = [
        (cell.place.model, cell.place.target, cell.state, first_line(cell.reason))
        for cell in cells
        if cell.state not in {*PASSED, State.NOT_ASKED}
    ]
    if rows:
        yield "### Why not"
        yield _table(("model", "target", "state", "reason"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads)]
    texts = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
    return "\n".join([*texts, *("| " + " | ".join(map(_escaped, row)) + " |" for row in rows)])


def _escaped(text: str) -> str:
    """Text of files as it is: no markup, and no line that ends the table."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
