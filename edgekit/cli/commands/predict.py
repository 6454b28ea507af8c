"""`edgekit predict`: segment one photo with a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.runtime import Prediction, Predictor, Prompt

MOST_LISTED = 20
"""Masks that the table shows; --json prints all of them."""


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
    text: Annotated[str | None, typer.Option("--text", hidden=True)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PNG", help="Write the photo with its mask.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print scores and areas as JSON.")
    ] = False,
) -> None:
    """Segment PHOTO with BUNDLE. Coordinates are photo pixels, x to the right and y down.

    Without a prompt, a model that finds all objects at once (FastSAM) returns every one.
    """
    from edgekit.cli.console import print_json
    from edgekit.cli.options import require_picture
    from edgekit.runtime import Predictor, draw, load_photo
    from edgekit.store import read_bundle

    if out:
        require_picture(out)
    _refuse_text(text)
    prompts = _prompts(point or [], box)
    pixels = load_photo(photo)
    # Encoding the photo takes the longest, so check the prompts before it.
    for prompt in prompts:
        prompt.check_inside(pixels.shape[:2])
    opened = read_bundle(bundle)
    if warning := opened.manifest.weights.warning:
        say(f"Warning: {warning}", err=True)
    predictor = Predictor(opened)
    _check_prompts(predictor, prompts, multimask=multimask)
    predictor.set_image(pixels)
    predictions = (
        predictor.predict_many(prompts, multimask=multimask) if prompts else predictor.everything()
    )
    if out:
        draw(pixels, predictions, prompts).save(out)
    masks = [line for prediction in predictions for line in _mask_json(prediction)]
    if as_json:
        print_json({"masks": masks, "picture": str(out) if out else None})
    else:
        _print_masks(masks, out)


def _refuse_text(text: str | None) -> None:
    from edgekit.errors import BadInput

    if text is not None:
        raise BadInput(
            "edgekit takes no text as a prompt. That needs a second model, such as CLIP.",
            expected="--point x,y or --box x0,y0,x1,y1, in photo pixels",
        )


def _check_prompts(predictor: Predictor, prompts: Sequence[Prompt], *, multimask: bool) -> None:
    """Refuse prompts that the model does not take, before the photo is encoded."""
    from edgekit.errors import BadInput
    from edgekit.records import DetectorContract

    for prompt in prompts:
        prompt.check_supported(predictor.client, multimask=multimask)
    if prompts:
        return
    if not isinstance(predictor.client, DetectorContract):
        raise BadInput(
            "There is no prompt, and this model needs one.",
            expected="--point x,y or --box x0,y0,x1,y1, in photo pixels",
        )
    if multimask:
        raise BadInput(
            "--multimask returns three masks of a prompt, and there is no prompt.",
            expected="a prompt with --multimask, and a model that takes both",
        )


def _prompts(points: list[str], box: str | None) -> list[Prompt]:
    """The prompt of the command line as a list of one; empty if there is none."""
    from edgekit.cli.options import box_from_text, point_from_text
    from edgekit.runtime import Prompt

    if not points and box is None:
        return []
    clicks = [point_from_text(text) for text in points]
    return [
        Prompt.checked(
            points=[point for point, _ in clicks],
            labels=[label for _, label in clicks],
            box=box_from_text(box) if box is not None else None,
        )
    ]


def _mask_json(prediction: Prediction) -> list[dict[str, float]]:
    return [
        {"score": float(score), "area_px": int(mask.sum()), "area_share": float(mask.mean())}
        for mask, score in zip(prediction.masks, prediction.scores, strict=True)
    ]


def _print_masks(masks: Sequence[dict[str, float]], out: Path | None) -> None:
    from edgekit.cli.console import console, table

    listed = table("mask", "score", "area", "of the photo", right=("score", "area", "of the photo"))
    for index, mask in enumerate(masks[:MOST_LISTED]):
        score, share = f"{mask['score']:.3f}", f"{mask['area_share']:.1%}"
        listed.add_row(str(index), score, f"{mask['area_px']} px", share)
    console().print(listed)
    if len(masks) > MOST_LISTED:
        say(f"{len(masks)} masks in all; --json prints every one.")
    say(f"Picture: {out}" if out else "Add --out mask.png to see the masks on the photo.")
