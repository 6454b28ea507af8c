"""`edgekit record`: keep PyTorch's answers for a device without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli.console import say
from edgekit.cli.options import Weights


def record(
    bundle: Annotated[
        Path, typer.Argument(help="A folder written by `edgekit export`, or its .zip.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")],
    photos: Annotated[
        Path | None,
        typer.Option("--photos", help="Photos to verify on, as for `edgekit verify`."),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option("--annotations", metavar="COCO.json", help="As for `edgekit verify`."),
    ] = None,
    weights: Weights = None,
) -> None:
    """Record what PyTorch answers, so that a device without it can verify BUNDLE."""
    from edgekit.cli.options import require_writable
    from edgekit.cli.progress import reporting
    from edgekit.pipeline import RecordRequest
    from edgekit.pipeline import record as run

    require_writable(out)
    request = RecordRequest(
        bundle=bundle,
        out=out,
        photos=photos,
        annotations=annotations,
        weights=tuple(weights or ()),
    )
    with reporting() as report:
        run(request, report=report)
    say(f"Recorded: {out}. On the device: edgekit verify BUNDLE --reference {out}", err=True)
