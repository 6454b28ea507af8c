"""Prompts as they are typed: `--point x,y[,label]` and `--box x0,y0,x1,y1`, in photo pixels."""

from __future__ import annotations

from edgekit.errors import BadInput

Point = tuple[float, float]


def point_from(text: str) -> tuple[Point, int]:
    """The point and its label (1 when it is not written).

    Raises:
        BadInput: not two or three numbers, or the label is not a whole number.
    """
    numbers = _numbers(text)
    if len(numbers) not in (2, 3) or (len(numbers) == 3 and not numbers[2].is_integer()):
        raise BadInput(
            f"--point {text} is not a point.",
            expected="x,y or x,y,label in photo pixels; label 1 is foreground, 0 background",
            next_step="for example --point 320,240 or --point 40,60,0",
        )
    return (numbers[0], numbers[1]), int(numbers[2]) if len(numbers) == 3 else 1


def box_from(text: str) -> tuple[float, ...]:
    """The four sides x0, y0, x1, y1.

    Raises:
        BadInput: not four numbers.
    """
    numbers = _numbers(text)
    if len(numbers) != 4:
        raise BadInput(
            f"--box {text} is not a box.",
            expected="x0,y0,x1,y1 in photo pixels: the top left and the bottom right corner",
            next_step="for example --box 40,60,300,420",
        )
    return tuple(numbers)


def _numbers(text: str) -> list[float]:
    """The comma-separated numbers, or none if one of them is not a number."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []
