"""The `--weights` option, the same wherever weights are read."""

from __future__ import annotations

from typing import Annotated

import typer

Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="PATH|official|bundled|seeded",
        help="A checkpoint file (repeat for a model in several files), 'official' (downloaded "
        "once), 'bundled' (comes with edgekit) or 'seeded' (random, for tests). Default: "
        "official, else bundled with a warning.",
    ),
]
