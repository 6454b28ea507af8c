"""What several commands read from the command line: weights, prompts, and files to write.

Prompts and output files are checked before the work starts, so that a typing error costs no wait.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli.console import STDOUT
from edgekit.errors import BadInput

if TYPE_CHECKING:
    from edgekit.runtime import Prompt

Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="PATH|official|bundled|seeded",
        help="A checkpoint file (repeat for a model in several files; FILE#KEY for one of several "
        "state dicts in it), a folder or index of shards, 'official' (downloaded "
        "once), 'bundled' (comes with edgekit) or 'seeded' (random, for tests). Default: "
        "official, or bundled with a warning if that cannot be had.",
    ),
]


def json_option(what: str) -> Any:
    """The option `--json [FILE]` of a command; its value is a file's name, STDOUT or None."""
    return typer.Option(
        "--json",
        metavar="[FILE.json]",
        help=f"Print {what} as JSON, or write it to FILE.json.",
        callback=_checked_json_file,
    )


def _checked_json_file(value: str | None) -> str | None:
    if value is not None and value != STDOUT:
        require_writable(Path(value))
    return value


PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def point_from_text(text: str) -> tuple[tuple[float, float], int]:
    """The point (x, y) in photo pixels and its label of `--point x,y[,label]`; the default is 1.

    Raises:
        BadInput: there are not two or three numbers, or the label is not a whole number.
    """
    numbers = numbers_from_text(text)
    if len(numbers) not in (2, 3) or (len(numbers) == 3 and not numbers[2].is_integer()):
        raise BadInput(
            f"--point {text} is not a point.",
            expected="x,y or x,y,label in photo pixels; label 1 is foreground, 0 background",
            next_step="for example --point 320,240 or --point 40,60,0",
        )
    return (numbers[0], numbers[1]), int(numbers[2]) if len(numbers) == 3 else 1


def box_from_text(text: str) -> tuple[float, ...]:
    """The sides x0, y0, x1, y1 of `--box x0,y0,x1,y1`, in photo pixels.

    Raises:
        BadInput: there are not four numbers.
    """
    numbers = numbers_from_text(text)
    if len(numbers) != 4:
        raise BadInput(
            f"--box {text} is not a box.",
            expected="x0,y0,x1,y1 in photo pixels: the top left and the bottom right corner",
            next_step="for example --box 40,60,300,420",
        )
    return tuple(numbers)


def prompts_from_text(points: list[str], boxes: list[str]) -> list[Prompt]:
    """The command line's prompts: one of all points and a box, or one for each of several boxes.

    Raises:
        BadInput: there are points and several boxes, or one of them cannot be read.
    """
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


def numbers_from_text(text: str) -> list[float]:
    """The comma-separated numbers; empty if one of them is not a number."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []


def require_picture(path: Path) -> None:
    """Check that a picture can be written to `path`.

    Raises:
        BadInput: the suffix names no picture format, or as `require_writable`.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise BadInput(
            f"The name '{path}' does not say which picture format to write.",
            expected=f"a file name that ends in {', '.join(PICTURE_SUFFIXES)}",
            next_step=f"use {path.with_suffix('.png') if path.name else 'mask.png'}",
        )
    require_writable(path)


def require_writable(path: Path) -> None:
    """Check that `path` can name a file.

    Raises:
        BadInput: it is a folder, a device or a pipe, or its parent folder does not exist.
    """
    from edgekit.store import is_special

    if is_special(path):
        raise BadInput(
            f"'{path}' is a device or a pipe.",
            expected="the name of a file to write",
            next_step="for JSON on the standard output, use --json without a name",
        )
    if path.is_dir():
        raise BadInput(
            f"'{path}' is a folder.",
            expected="the name of a file to write",
            next_step=f"use a name inside it, such as {path / 'result'}",
        )
    if not path.parent.is_dir():
        raise BadInput(
            f"The folder '{path.parent}' does not exist, so {path.name} cannot be written.",
            expected="an existing folder",
            next_step=f"mkdir -p {path.parent}",
        )
