"""`edgekit predict`: segment one photo with a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgekit.runtime import Prediction, Prompt


def predict(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    bundle: Annotated[Path, typer.Argument(help="A folder written by `edgekit export`.")],
    photo: Annotated[Path, typer.Argument(help="The photo to segment.")],
    *,
    point: Annotated[
        list[str] | None,
        typer.Option(
            "--point", metavar="X,Y[,LABEL]", help="Label 1 foreground, 0 background; repeatable."
        ),
    ] = None,
    box: Annotated[str | None, typer.Option("--box", metavar="X0,Y0,X1,Y1")] = None,
    multimask: Annotated[
        bool, typer.Option("--multimask", help="Three masks: whole, part, sub-part.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PNG", help="Write the photo with its mask.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print scores and areas as JSON.")
    ] = False,
) -> None:
    """Segment PHOTO with BUNDLE. Coordinates are photo pixels, x to the right and y down."""
    from edgekit.cli.console import print_json
    from edgekit.cli.output_file import check_picture
    from edgekit.runtime import Predictor, draw, load_photo

    if out:
        check_picture(out)
    prompt = _prompt(point or [], box)
    pixels = load_photo(photo)
    # Before the photo is encoded, which takes the longest: a mistyped coordinate costs no waiting.
    prompt.check_inside(pixels.shape[:2])
    predictor = Predictor(bundle)
    predictor.set_image(pixels)
    prediction = predictor.predict_many([prompt], multimask=multimask)[0]
    if out:
        draw(pixels, [prediction], [prompt]).save(out)
    if as_json:
        print_json({"masks": _described(prediction), "picture": str(out) if out else None})
    else:
        _print_masks(prediction, out)


def _prompt(points: list[str], box: str | None) -> Prompt:
    from edgekit.cli.prompt_text import box_from, point_from
    from edgekit.errors import BadInput
    from edgekit.runtime import Prompt

    if not points and box is None:
        raise BadInput(
            "There is no prompt: the model needs to be told what to segment.",
            expected="--point x,y or --box x0,y0,x1,y1, in photo pixels",
        )
    clicks = [point_from(text) for text in points]
    return Prompt.checked(
        points=[place for place, _ in clicks],
        labels=[label for _, label in clicks],
        box=box_from(box) if box is not None else None,
    )


def _described(prediction: Prediction) -> list[dict[str, object]]:
    return [
        {"score": float(score), "area_px": int(mask.sum()), "area_share": float(mask.mean())}
        for mask, score in zip(prediction.masks, prediction.scores, strict=True)
    ]


def _print_masks(prediction: Prediction, out: Path | None) -> None:
    from edgekit.cli.console import console, table

    listed = table("mask", "score", "area", "of the photo", right=("score", "area", "of the photo"))
    for index, mask in enumerate(prediction.masks):
        score, share = f"{prediction.scores[index]:.3f}", f"{mask.mean():.1%}"
        listed.add_row(str(index), score, f"{mask.sum()} px", share)
    console().print(listed)
    typer.echo(f"Picture: {out}" if out else "Add --out mask.png to see it on the photo.")
