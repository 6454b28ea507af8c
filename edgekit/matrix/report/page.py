"""The overview as one HTML file, which needs nothing beside it.

Texts of cells come from checkpoints, runtimes and logs, so every value is escaped.
"""

from __future__ import annotations

import importlib.util
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from shlex import join

from edgekit.benchmark.figures import Task
from edgekit.errors import RuntimeMissing
from edgekit.matrix.cells import Step
from edgekit.matrix.differences import Difference
from edgekit.matrix.overview import Overview, ShownCell
from edgekit.matrix.report.figures import FigureTexts, figures_of, first_line, milliseconds
from edgekit.matrix.states import PASSED, State
from edgekit.version import __version__

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A cell as the template shows it; `anchor` is empty if it has no section."""

    cell: ShownCell
    anchor: str
    figures: FigureTexts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cause:
    """A reason, and all cells that it stopped."""

    state: State
    reason: str
    views: list[_View]


def require_jinja() -> None:
    """Check that the page can be made.

    Raises:
        RuntimeMissing: jinja2 is not installed.
    """
    if importlib.util.find_spec("jinja2") is None:
        raise RuntimeMissing(
            "The report needs jinja2, which is not installed.",
            next_step="pip install 'edgekit[report]'",
        )


def page_from(overview: Overview, changes: Sequence[Difference] | None) -> str:
    """The whole page.

    Raises:
        RuntimeMissing: jinja2 is not installed.
    """
    require_jinja()
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    views = [_view(cell) for cell in overview.cells]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        made=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, edgekit {__version__}",
        overview=overview,
        hosts={host for _, host in overview.columns},
        grid=[
            (row, [_view(overview.at(row, column)) for column in overview.columns])
            for row in overview.rows
        ],
        changes=changes,
        causes=_causes(views),
        views=[view for view in views if view.cell.result],
        tasks=list(Task),
        milliseconds=milliseconds,
        first_line=first_line,
        typed=_typed,
        slug=_slug,
    )


def _view(cell: ShownCell) -> _View:
    words = (cell.place.model, *cell.place.weights, *cell.place.column)
    anchor = _slug("-".join(words)) if cell.result else ""
    return _View(cell=cell, anchor=anchor, figures=figures_of(cell))


def _causes(views: Iterable[_View]) -> list[_Cause]:
    """The reasons of cells that did not pass, each once, the most frequent first."""
    found: dict[tuple[State, str], list[_View]] = defaultdict(list)
    for view in views:
        if view.cell.state not in {*PASSED, State.NOT_ASKED}:
            found[view.cell.state, first_line(view.cell.reason)].append(view)
    causes = [
        _Cause(state=state, reason=reason, views=stopped)
        for (state, reason), stopped in found.items()
    ]
    return sorted(causes, key=lambda cause: -len(cause.views))


def _typed(step: Step) -> str:
    """The command as a user types it."""
    return join(("edgekit", *step.command))


def _slug(text: str) -> str:
    """A name for classes and anchors."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
