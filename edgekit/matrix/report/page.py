"""The overview as one HTML file, which needs nothing beside it.

Texts of cells come from checkpoints, runtimes, logs and other people's results, so every value is
escaped. The only markup that is not the templates' own are the plots.
"""

from __future__ import annotations

import importlib.util
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING

from edgekit.benchmark.figures import Task
from edgekit.errors import RuntimeMissing
from edgekit.matrix.cells import Place, Step
from edgekit.matrix.differences import Difference
from edgekit.matrix.overview import Overview, ShownCell
from edgekit.matrix.prompts import IouBin
from edgekit.matrix.report.figures import (
    MISSING,
    FigureTexts,
    figures_of,
    first_line,
    megabytes,
    milliseconds,
    pytorch_figures_of,
)
from edgekit.matrix.report.pareto import Comparison, Point, comparisons
from edgekit.matrix.report.plots import can_draw, iou_plot, miou_plot, size_plot
from edgekit.matrix.report.survey import (
    BOXES,
    NOT_RUN,
    SHOWN_KINDS,
    ModelFacts,
    Survey,
    facts_of,
    survey_of,
)
from edgekit.matrix.results import picture_beside
from edgekit.matrix.states import PASSED, State
from edgekit.verification.evaluation import TITLES
from edgekit.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent
_AS_JSON = ("--json", "--picture", "-")
_DIFFER = "the masks differ too much from PyTorch's"


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A cell as the template shows it; `anchor` is empty if it has no section.

    `pytorch` are the figures of PyTorch in the same run. `picture` is a JPEG in base64.
    """

    cell: ShownCell
    anchor: str
    figures: FigureTexts
    pytorch: FigureTexts | None
    survey: Survey
    picture: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A model with its weights, and its cells in the order of the columns."""

    model: str
    weights: tuple[str, ...]
    views: tuple[_View, ...]

    @property
    def timed(self) -> bool:
        """Whether PyTorch was timed beside any of its cells."""
        return any(view.pytorch for view in self.views)

    @property
    def facts(self) -> ModelFacts | None:
        """What the model costs before anything runs."""
        return facts_of(self.model)

    @property
    def measured(self) -> tuple[_View, ...]:
        """The cells that have figures of the survey."""
        return tuple(view for view in self.views if view.survey != Survey())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """A machine's timed cells; no plots if they cannot be drawn here."""

    comparison: Comparison
    plots: tuple[Markup, ...]

    @property
    def best(self) -> frozenset[Point]:
        """The points of either front."""
        return frozenset((*self.comparison.most_alike, *self.comparison.smallest))


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


def page_from(
    overview: Overview, changes: Sequence[Difference] | None, *, results: Path | None = None
) -> str:
    """The whole page.

    Args:
        overview: what is shown.
        changes: since earlier results; None if there were none to compare with.
        results: the folder with the pictures of the worst prompts; None shows none.

    Raises:
        RuntimeMissing: jinja2 is not installed.
    """
    require_jinja()
    views = [_view(cell, results) for cell in overview.cells]
    compared = comparisons(overview)
    grid = _grid(overview)
    surveys = [view.survey for view in views]
    anchors = {point: _anchor(point.place) for each in compared for point in each.points}
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            made=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, edgekit {__version__}",
            overview=overview,
            hosts={host for _, host in overview.columns},
            grid=grid,
            has_times=any(view.figures.encoder != MISSING for view in views),
            boxes=BOXES if any(each.latencies for each in surveys) else (),
            kinds=[kind for kind in SHOWN_KINDS if any(kind in each.miou for each in surveys)],
            random_weights=sum(cell.place.random_weights for cell in overview.cells),
            machines=_machines(compared, anchors),
            anchors=anchors,
            changes=changes,
            causes=_causes(views),
            views=[view for view in views if view.cell.result],
        )
    )


def _environment() -> Environment:
    """The templates, and the functions that they call."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        bars=_bars,
        costs=_costs,
        first_line=first_line,
        megabytes=megabytes,
        milliseconds=milliseconds,
        missing=MISSING,
        not_run=NOT_RUN,
        titles=TITLES,
        slug=_slug,
        tasks=list(Task),
        typed=_typed,
    )
    return environment


def _grid(overview: Overview) -> list[_Row]:
    return [
        _Row(
            model=model,
            weights=weights,
            views=tuple(map(_view, cells)),
        )
        for (model, weights), cells in overview.grid.items()
    ]


def _view(cell: ShownCell, results: Path | None = None) -> _View:
    picture = picture_beside(results, cell.result) if results and cell.result else None
    return _View(
        cell=cell,
        anchor=_anchor(cell.place) if cell.result else "",
        figures=figures_of(cell),
        pytorch=pytorch_figures_of(cell),
        survey=survey_of(cell),
        picture=b64encode(picture).decode("ascii") if picture else None,
    )


def _anchor(place: Place) -> str:
    return _slug("-".join((place.model, *place.weights, *place.column)))


def _machines(compared: Iterable[Comparison], anchors: Mapping[Point, str]) -> list[_Machine]:
    return [
        _Machine(comparison=each, plots=_plots(each, anchors, number) if can_draw() else ())
        for number, each in enumerate(compared)
    ]


def _plots(comparison: Comparison, anchors: Mapping[Point, str], number: int) -> tuple[Markup, ...]:
    from markupsafe import Markup

    own = {point: anchors[point] for point in comparison.points}
    draws = {"iou": iou_plot, "size": size_plot}
    if comparison.scored:
        draws["miou"] = miou_plot
    return tuple(
        Markup(draw(comparison, own, name=f"{name}-{number}")) for name, draw in draws.items()
    )


def _bars(bins: Sequence[IouBin]) -> list[tuple[IouBin, float]]:
    """Each bin with the length of its bar, as a share of the longest."""
    most = max((each.prompts for each in bins), default=0) or 1
    return [(each, each.prompts / most) for each in bins]


def _costs(facts: ModelFacts | None) -> tuple[str, ...]:
    """Parameters, work and efficient error rate."""
    if facts is None:
        return (MISSING,) * 3
    parameters = f"{facts.parameters / 1e6:.1f} M"
    return parameters, f"{facts.encoder_gmacs:,.1f}", f"{facts.efficient_error_rate:.3f}"


def _causes(views: Iterable[_View]) -> list[_Cause]:
    """The reasons of cells that did not pass, each once, the most frequent first."""
    found: dict[tuple[State, str], list[_View]] = defaultdict(list)
    for view in views:
        state = view.cell.state
        if state not in {*PASSED, State.NOT_ASKED}:
            # The reason of a failed gate has the cell's own figures.
            reason = _DIFFER if state is State.GATE_FAILED else first_line(view.cell.reason)
            found[state, reason].append(view)
    causes = [
        _Cause(state=state, reason=reason, views=stopped)
        for (state, reason), stopped in found.items()
    ]
    return sorted(causes, key=lambda cause: -len(cause.views))


def _typed(step: Step) -> str:
    """The command as a user types it: without the JSON and its picture, which the matrix reads."""
    words = step.command if step.name == "build" else ("edgekit", *step.command)
    return join(word for word in words if word not in _AS_JSON)


def _slug(text: str) -> str:
    """A name for classes and anchors."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
