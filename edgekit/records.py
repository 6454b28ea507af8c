"""The frozen types that travel between stages, and nothing that acts.

A stage is a function from records to a record. Paths inside a bundle are POSIX, relative to it.
Arrays never live here: records hold digests and names, so that they print, compare and serialise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Rgb = npt.NDArray[np.uint8]  # [H, W, 3], RGB
Feeds = Mapping[str, FloatArray]

MANIFEST_SCHEMA = 1


class Label:
    """Codes of `point_labels` in the decoder graph (SAM's, and -2 for an unused slot)."""

    EMPTY = -2
    """No influence at all: the slot is masked out of attention as a key."""
    PADDING = -1
    """SAM's not-a-point embedding, without a positional part."""
    BACKGROUND = 0
    FOREGROUND = 1
    BOX_TOP_LEFT = 2
    BOX_BOTTOM_RIGHT = 3


class Role(StrEnum):
    """What a graph does: the encoder runs once per photo, the decoder once per prompt.

    A model that finds all objects at once is one graph, run once per photo: an encoder alone.
    """

    ENCODER = "encoder"
    DECODER = "decoder"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphContract:
    """Tensor names of a model's graphs, in the order of the modules' arguments and results.

    The encoder takes `image`; what it returns (`features`) are the decoder's first arguments,
    before the `prompts`. The decoder returns `answers`; without answers there is no decoder, and
    prompts choose among the features (`DetectorContract`). Features have batch 1: those of one
    photo serve all of its prompts. `measures` are features that the client reads as they are, as
    positions or scores: every precision keeps what makes them from the last large product in float.
    """

    features: tuple[str, ...] = ("image_embeddings",)
    prompts: tuple[str, ...] = ("point_coords", "point_labels", "mask_input", "has_mask_input")
    answers: tuple[str, ...] = ("low_res_masks", "iou_predictions")
    measures: tuple[str, ...] = ()

    @property
    def roles(self) -> tuple[Role, ...]:
        """The graphs that the model has."""
        return (Role.ENCODER, Role.DECODER) if self.answers else (Role.ENCODER,)

    def inputs(self, role: Role) -> tuple[str, ...]:
        """Names of the arguments of one role's module."""
        return ("image",) if role == Role.ENCODER else (*self.features, *self.prompts)

    def outputs(self, role: Role) -> tuple[str, ...]:
        """Names of the results of one role's module."""
        return self.features if role == Role.ENCODER else self.answers


class Precision(StrEnum):
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


# --- what a client has to do around the graphs --------------------------------------------------


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A graph input or output; a string in `shape` names a dynamic dimension."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


def slots_in(inputs: tuple[TensorSpec, ...]) -> int | None:
    """The number of prompt slots of a graph with these inputs, if it has a fixed one."""
    sizes = (spec.shape[-1] for spec in inputs if spec.name == "point_labels")
    return next((size for size in sizes if isinstance(size, int)), None)


# --- models and their weights --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFile:
    """One upstream file. `sha256` None: no trustworthy digest is known, so it is never downloaded.

    `supplies` names the key prefixes that are taken from this file ("" = all of them).
    """

    filename: str
    url: str
    sha256: str | None
    bytes: int | None
    licence: str
    supplies: tuple[str, ...] = ("",)


CheckpointForm = Literal["state dict", "safetensors", "transformers", "pickled module", "onnx"]
"""Forms in which weights are published: a PyTorch file of tensors; safetensors; either of the two
under the names of Hugging Face transformers; a whole module; an exported graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One line of the registry. `builder` is "module:function", imported only when needed.

    `builder` gives encoder and decoder; the decoder is None where the model has none.
    `encoder_prefix` is what upstream writes before the image encoder's keys ("" for NanoSAM).
    `unused_keys` are beginnings of names that its files hold and that no graph needs. `graph` names
    the tensors of its graphs. `widths` "from_checkpoint": every width is read off the file, so
    that pruned models load. `forms` are those of a checkpoint that load. `warning` is what a user
    must not overlook (for example: a licence that restricts the use).
    """

    name: str
    family: str
    variant: str
    title: str
    paper: str
    licence: str
    parameters: int
    builder: str
    encoder_prefix: str
    unused_keys: tuple[str, ...]
    checkpoints: tuple[CheckpointFile, ...]
    client: Client
    graph: GraphContract = GraphContract()
    widths: Literal["fixed", "from_checkpoint"] = "fixed"
    forms: tuple[CheckpointForm, ...] = ("state dict", "safetensors")
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """A file's path (relative to its bundle, or absolute outside one), sha256 and size."""

    path: str
    sha256: str
    bytes: int


WeightsKind = Literal["official", "bundled", "seeded", "path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Where a model's weights come from, settled before torch is imported.

    `files` are absolute paths with their sha256 (in a manifest: names only); empty for `seeded`,
    whose `seed` says it all.
    `warning` is what the user must not overlook (for example: the bundled stand-in was taken).
    """

    kind: WeightsKind
    licence: str
    files: tuple[FileDigest, ...] = ()
    seed: int | None = None
    warning: str | None = None


# --- targets -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What `verify` demands of mask IoU against the PyTorch reference; `p5_iou`: 5th percentile."""

    mean_iou: float
    min_iou: float
    p5_iou: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Recipe:
    """Where a target's runtime wants integer codes; what is not named here stays float.

    `activations`: "uint8" or "affine_int8" with a zero point, or "int8" symmetric. `weighted` are
    the aten operators whose input and weight are coded (weights: int8, symmetric, per channel);
    `reads` those without weights whose input is coded too, so that what comes before puts out
    codes. `sums`: of a residual addition both inputs are coded, only the shortcut (the other one is
    summed inside the convolution), or none. `results` "coded": what a coded node puts out is coded
    as well, whoever reads it. The last `head` convolutions stay float; depthwise ones may.
    `float_weights` is how weights without codes are stored in a coded graph. `roles` are the graphs
    that INT8 makes faster there.
    """

    activations: Literal["uint8", "int8", "affine_int8"]
    weighted: tuple[str, ...] = ("conv2d", "linear")
    reads: tuple[str, ...] = ()
    sums: Literal["both", "shortcut", "none"] = "none"
    results: Literal["float", "coded"] = "float"
    head: int = 1
    depthwise: Literal["float", "coded"] = "coded"
    float_weights: Literal["float32", "float16"] = "float32"
    roles: tuple[Role, ...] = (Role.ENCODER,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device profile: one TOML file in `targets/`.

    `prompt_slots`: runtimes without dynamic shapes get a decoder for one prompt with each of these
    numbers of points, ascending; empty means dynamic batch and points. `forbidden_ops` maps an
    ONNX operator to the reason why this target cannot take it. `options` are the runtime's own
    compile options. `int8` is there where `precision` is.
    """

    name: str
    device: str
    runtime: str
    runtime_versions: str
    precision: Precision
    opset: int
    memory_mb: int
    gate: Gate
    prompt_slots: tuple[int, ...] = ()
    forbidden_ops: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    int8: Int8Recipe | None = None


# --- precision -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """An affine integer code: real = (code - zero_point) * scale.

    One scale and zero point for the whole tensor (`axis` None), or one per slice along `axis`.
    """

    dtype: Literal["uint8", "int8"]
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What one node of a captured program computes in.

    `node` is its name in the program, `operator` the aten operator, `block` the dotted path of the
    module that it came from. `macs` are multiply-accumulates per run (for one prompt with two
    points, in the decoder). `reason` says why it is not in the precision that was asked for.
    `inputs` and `weight` are set for INT8 nodes: one code per activation input (None for one that
    is read in float), and the weight's. `result` is the code of what it puts out, behind the ReLU
    that alone reads it, where the recipe wants it.
    """

    node: str
    operator: str
    block: str
    macs: int
    precision: Precision
    reason: str | None = None
    inputs: tuple[Quantization | None, ...] = ()
    weight: Quantization | None = None
    result: Quantization | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """The plan of one graph: every node that computes on floating-point tensors, in order."""

    role: Role
    nodes: tuple[NodePlan, ...]

    @property
    def all_fp32(self) -> bool:
        """Whether nothing in the graph was lowered."""
        return all(line.precision is Precision.FP32 for line in self.nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecord:
    """What the ranges were measured on: `photos` are SHA-256 of the files.

    `sha256` is the fingerprint of everything that decides the ranges: weights, photos and their
    annotations, edgekit's code, tools.
    """

    name: str
    photos: tuple[str, ...]
    prompts: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPlan:
    """Which node computes in which precision, and why: `precision.json` of a bundle.

    `asked` is the target's precision; `recipe` names the rules that the plan started from.
    """

    asked: Precision
    recipe: str
    parts: tuple[PartPlan, ...]
    calibration: CalibrationRecord | None = None

    def part(self, role: Role) -> PartPlan:
        """The plan of one role."""
        return next(part for part in self.parts if part.role == role)


# --- graphs and bundles --------------------------------------------------------------------------


GraphFormat = Literal["onnx", "program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """An estimate in bytes: all weights, and the most of activations that is alive at once.

    `sizes` are those of the dynamic dimensions that it was made for.
    """

    weights: int
    activations: int
    sizes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What a backend converts: one captured program as a file. `path` is absolute.

    `format` "onnx": lowered to ONNX of that `opset`, `ops` are ONNX operators; "program": the
    program itself in torch's own format (`<role>.pt2`), `ops` are aten operators. `macs` are
    multiply-accumulates per run (of the decoder: for one prompt of two points).
    `weights` is the file beside it that holds what one ONNX file cannot. `plan` is set where the
    backend's converter applies it; the program is in float32 then.
    `title` and `licence` are the model's, for formats that have room for them.
    """

    role: Role
    format: GraphFormat = "onnx"
    path: Path
    sha256: str
    opset: int | None = None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: dict[str, int]
    weights: Path | None = None
    macs: int | None = None
    memory: MemoryNeed | None = None
    plan: PartPlan | None = None
    title: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """An engine built on one machine from one artifact, and what it fits.

    `source_sha256` is that of the artifact's entry. `driver` is the newest CUDA that it serves.
    """

    file: FileDigest
    source_sha256: str
    tensorrt: str
    gpu: str
    compute_capability: str
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a runtime loads for one role: `entry` is what to open, `files` all that belong to it.

    `entry` is one of the files, or the folder that they lie in. `macs` as in `Graph`. `engine` is
    what TensorRT built from it last; not one of the files, since it changes with the machine.
    `options` are compile options that take the place of the target's for this artifact.
    """

    role: Role
    format: Literal["onnx", "openvino-ir", "mlpackage", "tflite"]
    entry: str
    files: tuple[FileDigest, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ops: dict[str, int]
    options: dict[str, str] = field(default_factory=dict)
    weights: Path | None = None
    macs: int | None = None
    memory: MemoryNeed | None = None
    engine: EngineRecord | None = None

    @property
    def slots(self) -> int | None:
        """Points that a decoder of static shapes takes; None where there is no such number."""
        return slots_in(self.inputs)

    @property
    def contents(self) -> tuple[FileDigest, ...]:
        """Its files, and the engine's if there is one."""
        return self.files if self.engine is None else (*self.files, self.engine.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`manifest.json` of a bundle: everything a C++, Swift or Python client needs.

    `plan` is the precision plan (`precision.json`), where the target's precision needs one.
    """

    model: str
    family: str
    variant: str
    title: str
    licence: str
    target: Target
    client: Client
    label_codes: dict[str, int]
    weights: WeightsSource
    artifacts: tuple[Artifact, ...]
    golden: tuple[FileDigest, ...]
    plan: FileDigest | None = None
    calibration: CalibrationRecord | None = None
    tools: dict[str, str]
    edgekit: str
    created: str
    schema: int = MANIFEST_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle on disk whose manifest has been read (`store.read_bundle` checks the digests)."""

    path: Path
    manifest: Manifest

    def artifact(self, role: Role) -> Artifact:
        """The artifact of one role."""
        return next(a for a in self.manifest.artifacts if a.role == role)


class Session(Protocol):
    """One opened graph: float32 arrays in, float32 arrays out, by name."""

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run once. Shapes as in the graph contract (`TensorSpec`s of the artifact)."""
        ...


How = Literal["native", "emulated", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a runtime's artifacts run on this machine: natively, by a stand-in, or not at all.

    `reason` says why it is not `native`.
    """

    how: How
    reason: str | None = None


NATIVE = Execution(how="native")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a backend finds on this machine. `reason` is set when it is not available."""

    available: bool
    version: str | None = None
    reason: str | None = None
