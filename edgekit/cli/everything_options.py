"""The options of `--everything`: `predict` takes all of them, `verify` and `evaluate` some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgekit.errors import BadInput

if TYPE_CHECKING:
    from edgekit.records import EverythingRule, Strategy

StrategyOption = Annotated[
    Literal["grid", "hierarchical", "boxes", "proposed"] | None,
    typer.Option(
        "--strategy",
        help="With --everything: points in a grid (SAM's way, the default); few points first "
        "(TinySAM's, faster); the boxes of --detector or --boxes (MobileSAMv2's); or the "
        "points of --proposals.",
    ),
]

GridOption = Annotated[
    int | None,
    typer.Option("--grid", metavar="N", help="N x N points, 1 to 256. Default: 32."),
]

CropsOption = Annotated[
    int | None,
    typer.Option(
        "--crops", metavar="N", help="Segment N layers of crops too, for small objects: 0 to 3."
    ),
]

MinAreaOption = Annotated[
    int | None,
    typer.Option(
        "--min-area", metavar="PIXELS", help="Fill smaller holes and remove smaller islands."
    ),
]

DetectorOption = Annotated[
    Path | None,
    typer.Option("--detector", metavar="BUNDLE", help="Take the boxes of a FastSAM bundle."),
]

BoxesOption = Annotated[
    Path | None,
    typer.Option(
        "--boxes",
        metavar="FILE",
        help="Take boxes from JSON: [[x0, y0, x1, y1], ...] or COCO's.",
    ),
]

ProposalsOption = Annotated[
    Path | None,
    typer.Option(
        "--proposals",
        metavar="FILE",
        help="Take points of the network that `edgekit train --proposals` made.",
    ),
]

MostPointsOption = Annotated[
    int | None,
    typer.Option(
        "--most-points",
        metavar="N",
        help="At most N points of --proposals, 1 to 1024. Default: 64.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingOptions:
    """The options that belong to `--everything`; None where they are not given."""

    strategy: Strategy | None = None
    grid: int | None = None
    crops: int | None = None
    min_area: int | None = None
    detector: Path | None = None
    boxes: Path | None = None
    proposals: Path | None = None
    most_points: int | None = None

    def given(self) -> list[str]:
        """The names of the options that are given."""
        values = asdict(self)
        return [
            f"--{name.replace('_', '-')}" for name, value in values.items() if value is not None
        ]

    @property
    def by_name(self) -> Strategy:
        """The strategy: that of the source of prompts that is given, otherwise the grid."""
        if self.strategy:
            return self.strategy
        if self.detector or self.boxes:
            return "boxes"
        return "proposed" if self.proposals else "grid"

    def rule_from(self, rule: EverythingRule) -> EverythingRule:
        """The family's rule with what is given here."""
        return replace(
            rule,
            grid=rule.grid if self.grid is None else self.grid,
            crops=rule.crops if self.crops is None else self.crops,
            min_area=rule.min_area if self.min_area is None else self.min_area,
            points=rule.points if self.most_points is None else self.most_points,
        )


def check_options(
    options: EverythingOptions, *, everything: bool, prompt_options: Sequence[str]
) -> None:
    """Check that the options given belong together.

    Args:
        options: those of `--everything`.
        everything: whether `--everything` is given.
        prompt_options: the names of the options given that describe a prompt.

    Raises:
        BadInput: they do not.
    """
    if everything and prompt_options:
        raise BadInput(
            f"{prompt_options[0]} is about one object, and --everything finds all of them.",
            expected=f"either {prompt_options[0]} or --everything",
        )
    if not everything and (given := options.given()):
        raise BadInput(
            f"{given[0]} says how everything is segmented, and --everything is not given.",
            expected=f"{given[0]} together with --everything",
        )
    if options.grid is not None and options.by_name in ("boxes", "proposed"):
        raise BadInput(
            f"--grid sets the points of a grid, and the strategy is '{options.by_name}'.",
            expected="--grid with the strategy 'grid' or 'hierarchical'",
        )
    if options.detector and options.boxes:
        raise BadInput("--detector and --boxes both give boxes.", expected="one of the two")
    if options.most_points is not None and not options.proposals:
        raise BadInput(
            "--most-points limits the points of --proposals, and no file is given.",
            expected="--proposals FILE, or --grid N for a grid",
        )
