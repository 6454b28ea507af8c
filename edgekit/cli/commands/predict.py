"""`edgekit predict`: segment one photo with a bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli.console import STDOUT, say, write_json
from edgekit.cli.everything_options import (
    BoxesOption,
    CropsOption,
    DetectorOption,
    EverythingOptions,
    GridOption,
    MinAreaOption,
    MostPointsOption,
    ProposalsOption,
    StrategyOption,
    check_options,
)
from edgekit.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.cli.mask_files import MaskFiles
    from edgekit.records import Rgb
    from edgekit.runtime import Prediction, Predictor, Prompt

MOST_LISTED = 20
"""Masks that the table shows; --json prints all of them."""

MOST_NAMED = 3
"""Files of masks that are named; the others are numbered on."""


def predict(  # noqa: PLR0913 - one parameter per option, as Typer reads them
    bundle: Annotated[
        Path, typer.Argument(help="A folder written by `edgekit export`, or its .zip.")
    ],
    photo: Annotated[
        Path, typer.Argument(help="The photo to segment; for a model of volumes, the volume.")
    ],
    *,
    point: Annotated[
        list[str] | None,
        typer.Option(
            "--point",
            metavar="X,Y[,LABEL]",
            help="Label 1 foreground, 0 background; repeatable. In a volume: X,Y,Z[,LABEL].",
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
    everything: Annotated[
        bool, typer.Option("--everything", help="Find all objects, without a prompt.")
    ] = False,
    strategy: StrategyOption = None,
    grid: GridOption = None,
    crops: CropsOption = None,
    min_area: MinAreaOption = None,
    detector: DetectorOption = None,
    boxes: BoxesOption = None,
    proposals: ProposalsOption = None,
    most_points: MostPointsOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PNG",
            help="Write the photo with its masks. Of a volume: the mask (.npy, .nii or .nii.gz).",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks", metavar="DIR|PNG", help="Write each mask as a binary PNG (0 and 255)."
        ),
    ] = None,
    json_file: Annotated[str | None, json_option("scores, areas and masks (COCO RLE)")] = None,
) -> None:
    """Segment PHOTO with BUNDLE. Coordinates are photo pixels, x to the right and y down.

    Several boxes are several objects; a box that reaches out of the photo is clipped to it.
    With --everything, all objects are found without a prompt. A model that finds them at once
    (FastSAM) does so whenever there is no prompt. A model of volumes (FastSAM3D) takes voxel
    indices in the order of the file's axes; each --point is a click that refines the mask.
    """
    from edgekit.cli.mask_files import mask_files
    from edgekit.cli.options import prompts_from_text, require_picture
    from edgekit.cli.volumes import VolumeOptions, predict_volume
    from edgekit.runtime import load_photo
    from edgekit.runtime.prompts import prompts_inside
    from edgekit.runtime.volume_files import names_volume

    options = EverythingOptions(
        strategy=strategy,
        grid=grid,
        crops=crops,
        min_area=min_area,
        detector=detector,
        boxes=boxes,
        proposals=proposals,
        most_points=most_points,
    )
    about_prompts = {"--point": point, "--box": box, "--multimask": multimask}
    if names_volume(photo):
        others = {**about_prompts, "--everything": everything, "--masks": masks, "--text": text}
        of_photos = [name for name, value in others.items() if value and name != "--point"]
        predict_volume(
            bundle,
            VolumeOptions(
                volume=photo,
                points=tuple(point or ()),
                out=out,
                json_file=json_file,
                photo_options=(*of_photos, *options.given()),
            ),
        )
        return
    if out:
        require_picture(out)
    check_options(
        options,
        everything=everything,
        prompt_options=[name for name, value in about_prompts.items() if value],
    )
    output = _Output(
        photo=photo, picture=out, masks=mask_files(masks) if masks else None, json_file=json_file
    )
    _refuse_text(text)
    prompts = prompts_from_text(point or [], box or [])
    pixels = load_photo(photo)
    # Encoding the photo takes the longest, so check the prompts before it.
    prompts = prompts_inside(prompts, (pixels.shape[0], pixels.shape[1]))
    predictor = _opened(bundle)
    if not everything:
        _check_prompts(predictor, prompts, multimask=multimask)
    if prompts:
        _predict_prompts(predictor, pixels, prompts, output, multimask=multimask)
    else:
        _predict_everything(predictor, pixels, options, output)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """Where the result goes."""

    photo: Path
    picture: Path | None
    masks: MaskFiles | None
    json_file: str | None


def _predict_everything(
    predictor: Predictor, pixels: Rgb, options: EverythingOptions, output: _Output
) -> None:
    from edgekit.cli.everything import (
        everything_json,
        print_segments,
        segment_everything,
        segment_rows,
    )
    from edgekit.cli.progress import reporting
    from edgekit.runtime import draw_segments

    with reporting() as report:
        found = segment_everything(
            predictor, pixels, options, name=output.photo.name, report=report
        )
        if output.picture:
            with report.stage("draw"):
                draw_segments(pixels, found.segments).save(output.picture)
    rows = list(segment_rows(found.segments, output.masks))
    if output.json_file:
        told = everything_json(found, rows, photo=output.photo, size=predictor.photo_size)
        picture = str(output.picture) if output.picture else None
        write_json({**told, "picture": picture}, output.json_file)
    if output.json_file == STDOUT:
        return
    print_segments(found, pixels=pixels.shape[0] * pixels.shape[1])
    _print_files(rows, output.picture)


def _predict_prompts(
    predictor: Predictor,
    pixels: Rgb,
    prompts: Sequence[Prompt],
    output: _Output,
    *,
    multimask: bool,
) -> None:
    from edgekit.runtime import draw

    predictor.set_image(pixels)
    predictions = predictor.predict_many(prompts, multimask=multimask)
    if output.picture:
        draw(pixels, predictions, prompts).save(output.picture)
    found = list(_mask_rows(predictions, output.masks))
    if output.json_file:
        picture = str(output.picture) if output.picture else None
        write_json({"masks": found, "picture": picture}, output.json_file)
    if output.json_file != STDOUT:
        _print_masks(found)
        _print_files(found, output.picture)


def _opened(path: Path) -> Predictor:
    """A predictor over the bundle; what its weights warn of is printed."""
    from edgekit.cli.bundles import read_with_warning
    from edgekit.runtime import Predictor

    return Predictor(read_with_warning(path))


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
            expected="--point x,y or --box x0,y0,x1,y1, in photo pixels; or --everything",
        )
    if multimask:
        raise BadInput(
            "--multimask returns three masks of a prompt, and there is no prompt.",
            expected="a prompt with --multimask, and a model that takes both",
        )


def _mask_rows(
    predictions: Sequence[Prediction], files: MaskFiles | None
) -> Iterator[dict[str, object]]:
    """Each mask as JSON, one after the other: all at once could take gigabytes."""
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


def _print_masks(masks: Sequence[dict[str, object]]) -> None:
    from edgekit.cli.console import console, table

    listed = table("mask", "score", "area", "of the photo", right=("score", "area", "of the photo"))
    for index, mask in enumerate(masks[:MOST_LISTED]):
        score, share = f"{mask['score']:.3f}", f"{mask['area_share']:.1%}"
        listed.add_row(str(index), score, f"{mask['area_px']} px", share)
    console().print(listed)
    if len(masks) > MOST_LISTED:
        say(f"{len(masks)} masks in all; --json prints every one.")


def _print_files(masks: Sequence[dict[str, object]], out: Path | None) -> None:
    if masks and masks[0]["file"]:
        say(f"Masks: {', '.join(str(mask['file']) for mask in masks[:MOST_NAMED])}")
    say(f"Picture: {out}" if out else "Add --out mask.png to see the masks on the photo.")
