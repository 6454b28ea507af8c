"""The photo that is segmented, as the strategies see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from edgekit.records import EverythingRule
from edgekit.runtime.decoding import DecoderAnswers
from edgekit.runtime.everything.crops import CropBox
from edgekit.runtime.prediction import Size

Advance = Callable[[], None]
"""Called after each prompt."""


class View(NamedTuple):
    """An encoded crop of a photo."""

    answers: DecoderAnswers
    crop: CropBox
    photo_size: Size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A photo of `size` (height, width), the rule to segment it by, and how to encode a crop.

    `on_progress` receives the number of prompts done and to do.
    """

    size: Size
    rule: EverythingRule
    encode: Callable[[CropBox], DecoderAnswers]
    on_progress: Callable[[int, int], None]

    def view(self, crop: CropBox | None = None) -> View:
        """A crop, encoded; None for the whole photo."""
        crop = crop or (0, 0, self.size[1], self.size[0])
        return View(self.encode(crop), crop, self.size)

    def counting(self, total: int, *, done: int = 0) -> Advance:
        """A function that reports one more of `total` prompts at each call."""
        steps = count(done + 1)
        return lambda: self.on_progress(next(steps), total)
