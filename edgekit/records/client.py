"""The rules that a client follows around the graphs, as the family's upstream predictor does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resampling = Literal[
    "bilinear", "bicubic", "float_antialiased", "float_bilinear", "fixed_point_bilinear"
]
"""How a photo is resized.

"bilinear" and "bicubic": Pillow's filters on the uint8 photo, antialiased, rounded to uint8.
"float_antialiased": antialiased bilinear on floats (torch `interpolate(antialias=True)`).
"float_bilinear": bilinear on floats between the two nearest pixels, without antialiasing.
"fixed_point_bilinear": the same on the uint8 photo, in OpenCV's integer arithmetic (INTER_LINEAR).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a photo becomes the encoder's `image` [1, 3, frame, frame], float32, RGB.

    `fit` says how the photo is placed:

    - "longest_side": resize so that the longest side is `frame`; `rounding` rounds the other side.
      After normalising, pad with zeros at the right and the bottom.
    - "centred": resize in the same way. Before normalising, centre the photo on a canvas of `fill`;
      an odd spare pixel goes to the right or the bottom.
    - "squash": resize to frame x frame and ignore the photo's aspect.

    Normalising subtracts `mean` and divides by `std`. `mean`, `std` and `fill` are on the 0-255
    scale.
    """

    frame: int
    resample: Resampling
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rounding: Literal["half_up", "half_even", "truncate"] = "half_up"
    fit: Literal["longest_side", "centred", "squash"] = "longest_side"
    fill: int = 0
    colour_order: Literal["RGB"] = "RGB"


PromptPart = Literal["background_point", "mask", "points_and_box", "several_points", "multimask"]
"""Parts of a prompt that some families refuse; "multimask" asks for several masks per prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRule:
    """How photo coordinates become the decoder's `point_coords` and `point_labels`.

    `coordinate_scale` "per_axis" multiplies x by new_width / width and y by new_height / height,
    whose factors differ slightly because of rounding; "longest_side" uses frame / longest for both;
    "photo_sides" multiplies x by frame / width and y by frame / height, so that the photo fills the
    frame. With `point_margin` a point becomes a box: its pixel in the resized photo, and as many
    pixels to each side.
    `padding_point` says when points with label -1 are appended: "without_box" appends one to a
    prompt of points without a box, "always" one to points and boxes, "fill" as many as make up
    `max_points`, at coordinate -1 of the frame. A prompt that is only a mask never gets one.
    `frame` is the side of the frame that coordinates refer to; None means the encoder's.
    `max_points` counts a box as two. `refuses` lists the parts that the family's decoder was not
    trained for. The decoder does not depend on the order of tokens; edgekit writes points, then box
    corners, then padding.
    """

    coordinate_scale: Literal["per_axis", "longest_side", "photo_sides"]
    padding_point: Literal["without_box", "never", "always", "fill"]
    frame: int | None = None
    max_points: int | None = None
    point_margin: int | None = None
    refuses: tuple[PromptPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingRule:
    """How a prompt is drawn into two more channels of `image`, for a model without a decoder.

    The graph runs once per prompt. Its `image` [1, 5, frame, frame] holds the preprocessed photo,
    the box and the points. Coordinates are scaled as for a decoder, and the centre of a pixel has
    whole coordinates. The box's channel is 1 from the top left to the bottom right corner, the
    pixels on the edges included, and 0 outside; without a box it is 1 everywhere. The points'
    channel is 1 in discs of `radius` pixels around the foreground points, the edge included.
    """

    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StableMask:
    """A mask that is preferred if it is stable.

    Stability is the area of logit > `offset` divided by the area of logit > -`offset`, in low-res
    pixels (1 if both are 0). Mask `index` is chosen if the stability of mask `measured` is at least
    `threshold`; None measures mask `index` itself.
    """

    index: int
    offset: float
    threshold: float
    measured: int | None = None

    @property
    def measured_index(self) -> int:
        """Index of the mask whose stability decides."""
        return self.index if self.measured is None else self.measured


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskChoice:
    """Which of the decoder's masks are returned, and how they are scored.

    `masks` are indices into `low_res_masks`. `keep` "all" returns them in this order, "best" only
    the one with the highest score. `unless_stable` takes precedence over both. With
    `stability_offset`, the score is the masks' stability (see `StableMask`) at this offset instead
    of `iou_predictions`.
    """

    masks: tuple[int, ...]
    keep: Literal["all", "best"] = "all"
    unless_stable: StableMask | None = None
    stability_offset: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRule:
    """How `low_res_masks` [B, M, side, side] logits become masks at the photo's size.

    `single` is the choice for one mask, `multimask` for several; `others` are the family's
    additional choices, by name. `upscale` says how the low-res map is resized:

    - "frame_then_photo": resize to the prompts' frame, crop to the resized photo, resize to the
      photo.
    - "straight": crop to the photo's aspect (sizes truncated), resize to the photo.
    - "squashed": resize the whole map to the photo.

    Resizing uses `resample` ("bicubic" is Keys' with a = -0.75), without antialiasing, with
    half-pixel centres (align_corners false). A pixel belongs to the mask if its logit is above the
    `threshold` (`inside` "at_or_above" includes the threshold itself). Logits that are returned or
    used as a mask prompt are clamped to +-`clamp`; masks are made from the logits before that.
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


MOST_GRID = 256
"""65,536 points: hours on a phone."""

MOST_POINTS = 1024
"""As many as SAM's grid. A proposal network has 64 x 64 cells, of which no two neighbours count."""

MOST_CROPS = 3
"""85 crops, each of which is encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EverythingRule:
    """How everything in a photo is segmented, and which masks are kept.

    The defaults are those of SAM's automatic mask generator. The photo is prompted with `grid` x
    `grid` points, and each point gives the masks of `choice`. A mask is kept if its score is above
    `predicted_iou` and its stability at `stability_offset` (see `StableMask`; here at the photo's
    size) is at least `stability`; a threshold of 0 is no threshold. Of two masks whose boxes have
    an IoU above `overlap`, the one with the higher score stays.

    `crops` is the number of layers of crops that are segmented too. Layer i splits the photo into
    2^i x 2^i crops that share `crop_overlap` of the short side (divided by 2^(i-1)), and prompts
    each with `grid` / `crop_grid_divisor`^i points a side. Masks that end at the edge of a crop are
    dropped, and of two masks of different crops whose boxes have an IoU above
    `overlap_across_crops`, the one of the smaller crop stays.

    Holes and islands of fewer than `min_area` pixels are removed at the end. `confident` is the
    logit above which a pixel needs no more prompts in hierarchical mode (TinySAM's 8.5). `points`
    is the most points that a proposal network may give in place of the grid.
    """

    choice: MaskChoice = MaskChoice(masks=(1, 2, 3))
    grid: int = 32
    predicted_iou: float = 0.88
    stability: float = 0.95
    stability_offset: float = 1.0
    overlap: float = 0.7
    crops: int = 0
    crop_overlap: float = 512 / 1500
    crop_grid_divisor: int = 1
    overlap_across_crops: float = 0.7
    min_area: int = 0
    confident: float = 8.5
    points: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientContract:
    """Everything a client must do as the family's upstream predictor does.

    It is for models that compute masks for a prompt; see `DetectorContract` for the others. The
    prompt goes to a decoder, or with `drawing` into the image of a single graph.
    """

    preprocessing: Preprocessing
    prompts: PromptRule
    masks: MaskRule
    everything: EverythingRule = EverythingRule()
    drawing: DrawingRule | None = None
    answers: Literal["decoded"] = "decoded"

    @property
    def decodes(self) -> bool:
        """Whether the model has a decoder."""
        return self.drawing is None

    @property
    def image_channels(self) -> int:
        """The channels of the encoder's `image`."""
        return 3 if self.drawing is None else 5

    @property
    def prompt_frame(self) -> int:
        """Side of the frame that prompts refer to and that masks are upscaled to, in pixels."""
        return self.prompts.frame or self.preprocessing.frame

    @property
    def refuses(self) -> tuple[PromptPart, ...]:
        """Parts of a prompt that the family refuses."""
        return self.prompts.refuses


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRule:
    """Which of a detector's candidates are objects.

    Candidates with a score above `score` count. If the IoU of two boxes is above `overlap`, the one
    with the higher score stays. At most `most` remain. Box edges that are nearer than `snap` input
    pixels to the border are moved onto it. A box whose IoU with the whole input is above `whole` is
    replaced by the whole input.
    """

    score: float
    overlap: float
    most: int
    snap: float
    whole: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorContract:
    """Everything a client must do around a graph that detects all objects of a photo at once.

    The features are candidates: `boxes` [1, 4, N] (centre and size in input pixels), `scores` [1,
    1, N] in 0-1, `coefficients` [1, C, N] of `prototypes` [1, C, h, w]. `objects` says which of
    them are kept. A mask is the product of coefficients and prototypes, cropped to the photo and
    upscaled bilinearly (half-pixel centres), where it is above 0 and inside its box. Prompts choose
    among the masks. A box chooses the mask with the best IoU. Points go through the masks that hold
    one, from the largest to the smallest: a foreground point adds the mask, a background point
    removes it. Without a prompt, all masks are chosen.
    """

    preprocessing: Preprocessing
    objects: DetectionRule
    refuses: tuple[PromptPart, ...] = ("mask", "points_and_box", "multimask")
    answers: Literal["chosen"] = "chosen"

    @property
    def drawing(self) -> None:
        """No prompt is drawn: the graph takes the photo alone."""
        return None

    @property
    def decodes(self) -> bool:
        """Whether the model has a decoder."""
        return False

    @property
    def image_channels(self) -> int:
        """The channels of the encoder's `image`."""
        return 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumePreprocessing:
    """How a volume becomes the encoder's `image` [1, 1, frame, frame, frame], float32.

    The volume has `frame` voxels along each axis. The axes lead to the patient's right, front and
    head ("RAS+"); a file whose axes lie otherwise is turned first. The mean of the voxels above
    `tissue_above` is subtracted from all voxels, then all are divided by the standard deviation of
    those voxels (unbiased: the divisor is their number less one).
    """

    frame: int
    tissue_above: float = 0.0
    axes: Literal["RAS+"] = "RAS+"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeContract:
    """Everything a client must do around graphs that segment a volume.

    A prompt is a list of clicks: points in voxel indices, in the order of the volume's axes, with
    label 1 (foreground) or 0 (background). Each click is a call of the decoder. `point_coords` [1,
    2, 3] and `point_labels` [1, 2] hold that click alone and one padding point (label -1);
    `mask_input` holds the logits of the click before, or zeros for the first, and `has_mask_input`
    is 1. `single` is the choice for one mask, `multimask` for several of the last click. A mask's
    logits [side, side, side] are enlarged trilinearly to the volume (half-pixel centres, no
    antialiasing); a voxel belongs to the mask if its logit is above 0.
    """

    preprocessing: VolumePreprocessing
    single: MaskChoice
    multimask: MaskChoice
    side: int
    answers: Literal["clicked"] = "clicked"

    @property
    def decodes(self) -> bool:
        """Whether the model has a decoder."""
        return True

    @property
    def image_channels(self) -> int:
        """The channels of the encoder's `image`."""
        return 1


PhotoClient = ClientContract | DetectorContract
"""A model of photos: masks are computed for a prompt, or chosen among the detected objects."""

Client = PhotoClient | VolumeContract
"""A model's rules."""
