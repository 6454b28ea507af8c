"""Prompts, checked once when made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import ClientContract, FloatArray, Label, MaskChoice, PhotoClient, PromptPart
from edgekit.runtime.coordinates import Coordinates
from edgekit.runtime.mask_choice import Multimask

Labels = npt.NDArray[np.int64]

_POINTS = "points [N, 2] as x, y in photo pixels"
_LABELS = "one label per point: 1 foreground, 0 background"
_BOX = "a box x0, y0, x1, y1 in photo pixels with x0 < x1 and y0 < y1"
_MASK = "low-res logits [side, side], as predict() returned them"
_PARTS: dict[PromptPart, str] = {
    "background_point": "background points (label 0)",
    "mask": "a mask as a prompt",
    "points_and_box": "points and a box in one prompt",
    "several_points": "several points in one prompt",
    "multimask": "multimask (several masks of one prompt)",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prompt:
    """One object to segment, in photo pixels (x right, y down). Use `Prompt.checked` to make one.

    `points` [N, 2] and `labels` [N], where N may be 0; `box` [4] as x0, y0, x1, y1; `mask`
    [side, side]: logits of an earlier prediction of the same object.
    """

    points: Coordinates
    labels: Labels
    box: Coordinates | None = None
    mask: FloatArray | None = None

    @classmethod
    def checked(
        cls,
        *,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        photo_size: tuple[int, int] | None = None,
    ) -> Prompt:
        """Make a prompt from a user's input, in SAM's calling convention.

        Args:
            points: [N, 2] x, y in photo pixels; None or empty for none.
            labels: [N], one per point: 1 foreground, 0 background.
            box: [4] or [1, 4]: x0, y0, x1, y1 in photo pixels.
            mask: [side, side] low-res logits; leading axes of length 1 are dropped.
            photo_size: (height, width) of the photo, as for `inside`; None leaves that to the
                Predictor.

        Raises:
            BadInput: nothing is given; a shape is wrong; a number is NaN or infinite; a label is
                not 0 or 1; points and labels differ in number; x1 <= x0 or y1 <= y0; a
                point or the middle of the box lies outside the photo.
        """
        clicks, codes = checked_points(points, labels)
        prompt = cls(
            points=clicks,
            labels=codes,
            box=None if box is None else _box(box),
            mask=None if mask is None else _mask(mask),
        )
        if not len(clicks) and box is None and mask is None:
            raise BadInput("The prompt is empty.", expected="a point, a box or a mask")
        return prompt if photo_size is None else prompt.inside(photo_size)

    @property
    def parts(self) -> set[PromptPart]:
        """The parts of this prompt that some families do not support."""
        parts: set[PromptPart] = set()
        if (self.labels == Label.BACKGROUND).any():
            parts.add("background_point")
        if self.mask is not None:
            parts.add("mask")
        if len(self.points) and self.box is not None:
            parts.add("points_and_box")
        if len(self.points) > 1:
            parts.add("several_points")
        return parts

    def check_supported(self, client: PhotoClient, *, multimask: Multimask = False) -> None:
        """Check that the model family supports this prompt.

        Raises:
            BadInput: the family refuses a part, or takes fewer points or another mask size.
        """
        several = bool(multimask) and not isinstance(multimask, MaskChoice)
        used = self.parts | ({"multimask"} if several else set())
        if refused := [part for part in _PARTS if part in used.intersection(client.refuses)]:
            foreground = "foreground " if "background_point" in client.refuses else ""
            points = "point" if "several_points" in client.refuses else "points"
            raise BadInput(
                f"This model does not take {' or '.join(_PARTS[part] for part in refused)}.",
                expected=f"{foreground}{points} or a box",
            )
        if isinstance(client, ClientContract):
            self._check_decoded(client)

    def _check_decoded(self, client: ClientContract) -> None:
        rule = client.prompts
        count = len(self.labels) + 2 * (self.box is not None)
        if rule.max_points is not None and count > rule.max_points:
            raise BadInput(
                f"The prompt has {count} points (a box counts as two).",
                expected=f"at most {rule.max_points}, the number this model was trained with",
            )
        side = client.masks.side
        if self.mask is not None and self.mask.shape != (side, side):
            raise BadInput(
                f"The mask cannot have the shape {list(self.mask.shape)}.",
                expected=f"low-res logits [{side}, {side}], as predict() returned them",
            )

    def inside(self, photo_size: tuple[int, int]) -> Prompt:
        """This prompt on a photo of (height, width) pixels, its box clipped to the photo.

        A detector's boxes may reach out of the photo; one whose middle lies outside is more likely
        of another photo or scale. The far edges count as inside: the box of an object that fills
        the photo ends there.

        Raises:
            BadInput: a point or the middle of the box lies outside.
        """
        height, width = photo_size
        outside = ((self.points < 0) | (self.points > (width, height))).any(axis=1)
        if outside.any():
            x, y = self.points[int(outside.argmax())]
            raise _outside(f"point ({x:g}, {y:g})", photo_size)
        if self.box is None:
            return self
        middle = self.box.reshape(2, 2).mean(axis=0)
        if ((middle <= 0) | (middle >= (width, height))).any():
            edges = ", ".join(f"{edge:g}" for edge in self.box)
            raise _outside(f"middle of the box ({edges})", photo_size)
        return replace(self, box=self.box.clip(0, [width, height, width, height]))


def prompts_inside(prompts: Sequence[Prompt], photo_size: tuple[int, int]) -> list[Prompt]:
    """Every prompt as `Prompt.inside` gives it.

    Raises:
        BadInput: one lies outside the photo; of several, the message gives its index.
    """
    placed: list[Prompt] = []
    for index, prompt in enumerate(prompts):
        try:
            placed.append(prompt.inside(photo_size))
        except BadInput as error:
            if len(prompts) == 1:
                raise
            raise BadInput(f"Prompt {index}: {error.what}", expected=error.expected) from error
    return placed


def _outside(what: str, photo_size: tuple[int, int]) -> BadInput:
    height, width = photo_size
    return BadInput(
        f"The {what} lies outside the photo.",
        expected=f"x from 0 to {width} and y from 0 to {height}",
    )


def checked_numbers(values: npt.ArrayLike, *, name: str, expected: str) -> Coordinates:
    """A user's input as finite numbers.

    Raises:
        BadInput: it is something else.
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor with gradients
        raise BadInput(f"The {name} cannot be read as numbers.", expected=expected) from error
    if not np.isfinite(numbers).all():
        raise BadInput(f"The {name} must be finite: NaN or infinity found.", expected=expected)
    return numbers


def _wrong_shape(name: str, array: Coordinates, expected: str) -> BadInput:
    return BadInput(f"The {name} cannot have the shape {list(array.shape)}.", expected=expected)


def checked_points(
    points: npt.ArrayLike | None,
    labels: npt.ArrayLike | None,
    *,
    axes: int = 2,
    expected: str = _POINTS,
) -> tuple[Coordinates, Labels]:
    """Points [N, axes] and labels [N] from a user's input.

    Raises:
        BadInput: as for `Prompt.checked`, except for points outside. `expected` ends the message.
    """
    places = checked_numbers([] if points is None else points, name="points", expected=expected)
    codes = checked_numbers([] if labels is None else labels, name="labels", expected=_LABELS)
    places = places.reshape(0, axes) if places.size == 0 else places
    if places.ndim != 2 or places.shape[1] != axes:
        raise _wrong_shape("points", places, expected)
    if codes.shape != (len(places),):
        raise BadInput(
            f"There are {len(places)} points and labels of shape {list(codes.shape)}.",
            expected=_LABELS,
        )
    unknown = ~np.isin(codes, (Label.BACKGROUND, Label.FOREGROUND))
    if unknown.any():
        raise BadInput(f"There is no point label {codes[unknown][0]:g}.", expected=_LABELS)
    return places, codes.astype(np.int64)


def _box(box: npt.ArrayLike) -> Coordinates:
    corners = checked_numbers(box, name="box", expected=_BOX)
    if corners.ndim == 2 and corners.shape[1] == 4 and len(corners) > 1:
        raise BadInput(
            f"There are {len(corners)} boxes, and a prompt takes one.",
            expected=_BOX,
            next_step="predictor.predict_many([Prompt.checked(box=box) for box in boxes])",
        )
    if corners.shape not in {(4,), (1, 4)}:
        raise _wrong_shape("box", corners, _BOX)
    x0, y0, x1, y1 = corners = corners.reshape(4)
    if x1 <= x0 or y1 <= y0:
        raise BadInput(
            f"The box {x0:g}, {y0:g}, {x1:g}, {y1:g} has no area.",
            expected=_BOX,
            next_step="if it is x, y, width, height: give x, y, x + width, y + height",
        )
    return corners


def _mask(mask: npt.ArrayLike) -> FloatArray:
    logits = checked_numbers(mask, name="mask", expected=_MASK)
    side = logits.shape[-1] if logits.ndim else 0
    if side == 0 or logits.size != side * side or logits.shape[-2:] != (side, side):
        raise _wrong_shape("mask", logits, _MASK)
    return logits.reshape(side, side).astype(np.float32)
