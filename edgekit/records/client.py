"""What a client has to do around the graphs, as its family's upstream predictor does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resampling = Literal[
    "bilinear", "bicubic", "float_antialiased", "float_bilinear", "fixed_point_bilinear"
]
"""How a photo is resized.

"bilinear" and "bicubic": Pillow's filters on the uint8 photo, antialiased, rounded to uint8.
"float_antialiased": antialiased bilinear on floats (torch `interpolate(antialias=True)`).
"float_bilinear": bilinear on floats between the nearest two pixels, whatever the reduction.
"fixed_point_bilinear": the same on the uint8 photo in OpenCV's integers (INTER_LINEAR).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a photo becomes the encoder's `image` [1, 3, frame, frame], float32, RGB.

    `fit` "longest_side": resize so that the longest side is `frame`, the other rounded by
    `rounding`, and pad with zeros at the right and the bottom after normalising; "centred": the
    same in the middle of a canvas of `fill`, before normalising (an odd pixel to spare lies at the
    right or the bottom); "squash": resize to frame x frame, whatever the photo's aspect. Then
    subtract `mean` and divide by `std`, both on the 0-255 scale as is `fill`.
    """

    frame: int
    resample: Resampling
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rounding: Literal["half_up", "half_even", "truncate"] = "half_up"
    fit: Literal["longest_side", "centred", "squash"] = "longest_side"
    fill: int = 0
    colour_order: Literal["RGB"] = "RGB"


PromptPart = Literal["background_point", "mask", "points_and_box", "multimask"]
"""What not every family takes; "multimask" is the wish for several masks of one prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRule:
    """How photo coordinates become `point_coords` and `point_labels` of the decoder.

    `frame` is the side of the frame that coordinates refer to, where it is not the encoder's.
    `coordinate_scale`: "per_axis" multiplies x by new_width / width and y by new_height / height
    (after rounding, so that the two differ slightly); "longest_side" uses frame / longest for both.
    `padding_point`: when one point with label -1 is appended: "without_box" to points alone,
    "always" to points and boxes (a mask alone has no token in either case), "fill" as many as make
    `max_points`, at coordinate -1 of the frame. `max_points` counts points, and two for a box.
    `refuses` are the parts that the family's decoder has not learned. Token order does not matter
    to the decoder (attention over tokens knows no order); edgekit writes points, box corners,
    padding.
    """

    coordinate_scale: Literal["per_axis", "longest_side"]
    padding_point: Literal["without_box", "never", "always", "fill"]
    frame: int | None = None
    max_points: int | None = None
    refuses: tuple[PromptPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StableMask:
    """A mask that is preferred while it is stable.

    Stability is the area of logit > `offset` over the area of logit > -`offset`, in low-res pixels
    (1 where both are 0). Mask `index` is taken if it is at least `threshold`.
    """

    index: int
    offset: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskChoice:
    """Which of the decoder's masks are returned, and how they are scored.

    `masks` are indices into `low_res_masks`; `keep` "all" returns them in this order, "best" only
    the one scored highest. `unless_stable` comes before both. `stability_offset` replaces
    `iou_predictions` by the masks' stability (see `StableMask`) at that offset.
    """

    masks: tuple[int, ...]
    keep: Literal["all", "best"] = "all"
    unless_stable: StableMask | None = None
    stability_offset: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRule:
    """How `low_res_masks` [B, M, side, side] logits become masks at the photo's size.

    `single` answers a request for one mask, `multimask` one for several, `others` those that only
    this family knows, by name. `upscale`: "frame_then_photo" = to the prompts' frame, crop to the
    resized photo, to the photo; "straight" = crop the low-res map to the photo's aspect
    (truncated), to the photo; "squashed" = the whole low-res map to the photo. All by `resample`
    ("bicubic" is Keys' with a = -0.75), not antialiased, with half-pixel centres (align_corners
    false). A pixel is in the mask if its logit is `inside` the `threshold`. Low-res logits are
    returned, and taken as a prompt, limited to +-`clamp`; masks are made before that.
    """

    single: MaskChoice
    multimask: MaskChoice
    upscale: Literal["frame_then_photo", "straight", "squashed"]
    others: tuple[MaskChoice, ...] = ()
    side: int = 256
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    inside: Literal["above", "at_or_above"] = "above"
    threshold: float = 0.0
    clamp: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientContract:
    """Everything a client must do the same way as the upstream predictor of this family.

    Prompts go to a decoder; see `DetectorContract` for a model without one.
    """

    preprocessing: Preprocessing
    prompts: PromptRule
    masks: MaskRule
    answers: Literal["decoded"] = "decoded"

    @property
    def prompt_frame(self) -> int:
        """Side of the frame that prompts refer to and that masks are enlarged to."""
        return self.prompts.frame or self.preprocessing.frame

    @property
    def refuses(self) -> tuple[PromptPart, ...]:
        """Parts of a prompt that the family does not take."""
        return self.prompts.refuses


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRule:
    """Which of a detector's candidates are objects.

    A candidate counts above `score`; of two whose boxes' IoU is above `overlap` the better one
    stays; at most `most` do. Box edges nearer than `snap` input pixels to the border lie on it, and
    a box with an IoU above `whole` with the whole input is taken for that.
    """

    score: float
    overlap: float
    most: int
    snap: float
    whole: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorContract:
    """What a client does around a graph that finds all objects of a photo at once.

    Its features are candidates: `boxes` [1, 4, N] (centre and size in input pixels), `scores`
    [1, 1, N] in 0-1, `coefficients` [1, C, N] of `prototypes` [1, C, h, w]. `objects` says which
    are kept. A mask is coefficients times prototypes, cropped to the photo, enlarged bilinearly
    (half-pixel centres), above 0, inside its box. Prompts choose among the masks: a box the one
    with the best IoU; points, from the largest mask that holds one to the smallest, each foreground
    point adds the mask and each background point takes it away; no prompt, all of them.
    """

    preprocessing: Preprocessing
    objects: DetectionRule
    refuses: tuple[PromptPart, ...] = ("mask", "points_and_box", "multimask")
    answers: Literal["chosen"] = "chosen"


Client = ClientContract | DetectorContract
"""How a model's answers are made: by a decoder, or by choosing among what was found."""
