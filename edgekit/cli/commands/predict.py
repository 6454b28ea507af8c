"""`edgekit predict`: segment one photo with a bundle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.cli.mask_files import MaskFiles
    from edgekit.runtime import Prediction, Predictor, Prompt

MOST_LISTED = 20
"""Masks that the table shows; --json prints all of them."""

MOST_NAMED = 3
"""Files of masks that are named; the others are numbered on."""


def predict(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    bundle: Annotated[
        Path, typer.Argument(help="A folder written by `edgekit export`, or its .zip.")
    ],
    photo: Annotated[Path, typer.Argument(help="The photo to segment.")],
    *,
    point: Annotated[
        list[str] | None,
        typer.Option(
            "--point", metavar="X,Y[,LABEL]", help="Label 1 foreground, 0 background; repeatable."
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            "--box", metavar="X0,Y0,X1,Y1", help="Repeatable: one object each, without points."
        ),
    ] = None,
    multimask: Annotated[
        bool, typer.Option("--multimask", help="Three masks: whole, part, sub-part.")
    ] = False,
    text: Annotated[str | None, typer.Option("--text", hidden=True)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PNG", help="Write the photo with its mask.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks", metavar="DIR|PNG", help="Write each mask as a binary PNG (0 and 255)."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print scores, areas and masks (COCO RLE) as JSON.")
    ] = False,
) -> None:
    """Segment PHOTO with BUNDLE. Coordinates are photo pixels, x to the right and y down.

    Several boxes are several objects; a box that reaches out of the photo is clipped to it.
    Without a prompt, a model that finds all objects at once (FastSAM) returns every one.
    """
    from edgekit.cli.console import print_json
    from edgekit.cli.mask_files import mask_files
    from edgekit.cli.options import require_picture
    from edgekit.runtime import draw, load_photo
    from edgekit.runtime.prompts import prompts_inside

    if out:
        require_picture(out)
    files = mask_files(masks) if masks else None
    _refuse_text(text)
    prompts = _prompts(point or [], box or [])
    pixels = load_photo(photo)
    # Encoding the photo takes the longest, so check the prompts before it.
    prompts = prompts_inside(prompts, (pixels.shape[0], pixels.shape[1]))
    predictor = _opened(bundle)
    _check_prompts(predictor, prompts, multimask=multimask)
    predictor.set_image(pixels)
    predictions = (
        predictor.predict_many(prompts, multimask=multimask) if prompts else predictor.everything()
    )
    if out:
        draw(pixels, predictions, prompts).save(out)
    found = list(_mask_rows(predictions, files))
    if as_json:
        print_json({"masks": found, "picture": str(out) if out else None})
    else:
        _print_masks(found, out)


def _opened(path: Path) -> Predictor:
    """A predictor over the bundle; what its weights warn of is printed."""
    from edgekit.runtime import Predictor
    from edgekit.store import read_bundle

    bundle = read_bundle(path)
    if warning := bundle.manifest.weights.warning:
        say(f"Warning: {warning}", err=True)
    return Predictor(bundle)


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


def _prompts(points: list[str], boxes: list[str]) -> list[Prompt]:
    """The command line's prompts: one of all points and a box, or one for each of several boxes."""
    from edgekit.cli.options import box_from_text, point_from_text
    from edgekit.errors import BadInput
    from edgekit.runtime import Prompt

    if points and len(boxes) > 1:
        raise BadInput(
            f"There are {len(boxes)} boxes, and points: no box is known to be the points' own.",
            expected="points with at most one box, or several boxes without points",
            next_step="run predict once for the box with the points, and once for the others",
        )
    if len(boxes) > 1:
        return [Prompt.checked(box=box_from_text(box)) for box in boxes]
    if not points and not boxes:
        return []
    clicks = [point_from_text(text) for text in points]
    return [
        Prompt.checked(
            points=[point for point, _ in clicks],
            labels=[label for _, label in clicks],
            box=box_from_text(boxes[0]) if boxes else None,
        )
    ]


def _mask_rows(
    predictions: Sequence[Prediction], files: MaskFiles | None
) -> Iterator[dict[str, object]]:
    """What JSON tells of each mask, one after the other: all at once could take gigabytes."""
    from edgekit.catalog import runs_from_mask

    index = 0
    for prompt, prediction in enumerate(predictions):
        for mask, score in zip(prediction.masks, prediction.scores, strict=True):
            file = files.write(mask, index) if files else None
            index += 1
            yield {
                "prompt": prompt,
                "score": float(score),
                "area_px": int(mask.sum()),
                "area_share": float(mask.mean()),
                "rle": asdict(runs_from_mask(mask)),
                "file": str(file) if file else None,
            }


def _print_masks(masks: Sequence[dict[str, object]], out: Path | None) -> None:
    from edgekit.cli.console import console, table

    listed = table("mask", "score", "area", "of the photo", right=("score", "area", "of the photo"))
    for index, mask in enumerate(masks[:MOST_LISTED]):
        score, share = f"{mask['score']:.3f}", f"{mask['area_share']:.1%}"
        listed.add_row(str(index), score, f"{mask['area_px']} px", share)
    console().print(listed)
    if len(masks) > MOST_LISTED:
        say(f"{len(masks)} masks in all; --json prints every one.")
    if masks and masks[0]["file"]:
        say(f"Masks: {', '.join(str(mask['file']) for mask in masks[:MOST_NAMED])}")
    say(f"Picture: {out}" if out else "Add --out mask.png to see the masks on the photo.")
