"""`edgekit verify`: compare the masks of a bundle with those of PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.all_masks import Detector, Proposals, StrategyOfMasks
from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.options import Weights, json_option

if TYPE_CHECKING:
    from edgekit.pipeline import Verdict, VerifyEverythingRequest, VerifyRequest

_IN_JSON = Path("-")
"""The value of `--picture` for a picture in the JSON."""


def verify(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    bundle: Annotated[
        Path, typer.Argument(help="A folder written by `edgekit export`, or its .zip.")
    ],
    *,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", help="A folder of photos or a COCO JSON. Default: bundled ones."),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations",
            metavar="COCO.json",
            help="Take the photos of this JSON; --photos is then their folder, if elsewhere.",
        ),
    ] = None,
    weights: Weights = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="FILE",
            help="A file of `edgekit record`, in place of PyTorch and weights.",
        ),
    ] = None,
    min_iou: Annotated[
        float | None,
        typer.Option(
            "--min-iou", min=0, max=1, help="Require this minimum instead of the target's."
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything", help="Compare all masks of each photo, found without prompts."
        ),
    ] = False,
    strategy: StrategyOfMasks = None,
    grid: Annotated[
        int | None,
        typer.Option(
            "--grid",
            metavar="N",
            help="With --everything: N x N points. Default: 8, because PyTorch is slow.",
        ),
    ] = None,
    detector: Detector = None,
    proposals: Proposals = None,
    min_matched: Annotated[
        float | None,
        typer.Option(
            "--min-matched",
            min=0,
            max=1,
            help="With --everything: require this share of masks that match at an IoU of 0.9. "
            "Default: figures only.",
        ),
    ] = None,
    json_file: Annotated[str | None, json_option("all figures")] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="PNG",
            help="Draw the worst prompts; '-' puts a close-up of the worst one into the JSON, as "
            "base64 of a JPEG.",
        ),
    ] = None,
) -> None:
    """Compare the masks of BUNDLE with those of the PyTorch reference."""
    from edgekit.cli.everything_options import EverythingOptions, check_options
    from edgekit.pipeline import VerifyEverythingRequest, VerifyRequest

    _check_picture(picture, json_file)
    about_prompts = {"--min-iou": min_iou, "--picture": picture, "--reference": reference}
    check_options(
        EverythingOptions(strategy=strategy, grid=grid, detector=detector, proposals=proposals),
        everything=everything,
        prompt_options=[name for name, value in about_prompts.items() if value is not None],
    )
    if everything:
        all_masks = VerifyEverythingRequest(
            bundle=bundle,
            photos=photos,
            annotations=annotations,
            weights=tuple(weights or ()),
            strategy=strategy,
            grid=grid,
            detector=detector,
            proposals=proposals,
            min_matched=min_matched,
        )
        raise typer.Exit(_verify_everything(all_masks, json_file))
    _refuse_min_matched(min_matched)
    request = VerifyRequest(
        bundle=bundle,
        photos=photos,
        annotations=annotations,
        weights=tuple(weights or ()),
        reference=reference,
        min_iou=min_iou,
    )
    raise typer.Exit(_verify_prompts(request, json_file, picture))


def _check_picture(picture: Path | None, json_file: str | None) -> None:
    from edgekit.cli.options import require_picture
    from edgekit.errors import BadInput

    if picture == _IN_JSON and not json_file:
        raise BadInput(
            "--picture - puts the picture into the JSON, and --json is not given.",
            expected="--picture - together with --json, or the name of a picture",
            next_step="add --json -",
        )
    if picture and picture != _IN_JSON:
        require_picture(picture)


def _refuse_min_matched(min_matched: float | None) -> None:
    from edgekit.errors import BadInput

    if min_matched is not None:
        raise BadInput(
            "--min-matched is about all masks, and --everything is not given.",
            expected="--min-matched together with --everything, or --min-iou",
        )


def _verify_prompts(request: VerifyRequest, json_file: str | None, picture: Path | None) -> int:
    from edgekit.cli.progress import reporting
    from edgekit.cli.verdict import exit_code, print_verdict
    from edgekit.pipeline import verify as run
    from edgekit.verification import comparison_picture, to_json

    with reporting() as report:
        verdict = run(request, report=report)
    if json_file:
        drawn = _closeup_json(verdict) if picture == _IN_JSON else {}
        write_json({**to_json(verdict), **drawn}, json_file)
    print_verdict(verdict, stream="stderr" if json_file == STDOUT else "stdout")
    if picture and picture != _IN_JSON and verdict.worst_masks:
        comparison_picture(verdict).save(picture)
        say(f"Worst prompts drawn: {picture}", err=True)
    elif picture:
        say("No picture: there are no masks of a photo to draw.", err=True)
    return exit_code(verdict)


def _closeup_json(verdict: Verdict) -> dict[str, object]:
    """The close-up of the worst prompt; null if none was run."""
    from base64 import b64encode

    from edgekit.verification import worst_closeup

    ran = bool(verdict.worst_masks)
    return {"closeup": b64encode(worst_closeup(verdict)).decode("ascii") if ran else None}


def _verify_everything(request: VerifyEverythingRequest, json_file: str | None) -> int:
    """Compare all masks; the exit code."""
    from edgekit.cli.all_masks import print_everything
    from edgekit.cli.progress import reporting
    from edgekit.cli.verdict import exit_code
    from edgekit.pipeline import verify_everything as run
    from edgekit.verification.everything import to_json

    with reporting() as report:
        verdict = run(request, report=report)
    if json_file:
        write_json(to_json(verdict), json_file)
    print_everything(verdict, stream="stderr" if json_file == STDOUT else "stdout")
    return exit_code(verdict)
