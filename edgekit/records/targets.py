"""Device profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgekit.records.contract import PromptShape, Role
from edgekit.records.enums import StrEnum


class Precision(StrEnum):
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The mask IoU with the PyTorch reference that `verify` demands."""

    mean_iou: float
    min_iou: float
    p5_iou: float = 0.0
    """5th percentile over all prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Recipe:
    """Where a target's runtime wants integer codes. Everything that is not named stays float."""

    activations: Literal["uint8", "int8", "affine_int8"]
    """Type of an activation's codes: "uint8" and "affine_int8" have a zero point, "int8" is
    symmetric."""
    weighted: tuple[str, ...] = ("conv2d", "linear")
    """aten operators whose input and weight are coded. Weights are int8, symmetric, per output
    channel."""
    reads: tuple[str, ...] = ()
    """aten operators without weights whose input is coded, so that the node before gives codes."""
    sums: Literal["both", "shortcut", "none"] = "none"
    """The coded inputs of a residual addition. "shortcut" leaves out the one that the runtime sums
    inside the convolution."""
    results: Literal["float", "where_needed", "coded"] = "float"
    """"coded": the result of every coded node is coded too, whichever node reads it.
    "where_needed": only of convolutions, sums and pooling, whose integer kernels in ONNX Runtime
    give nothing but codes."""
    attention: Literal["float", "coded"] = "float"
    """Whether both operands of attention's two products are coded, whatever `product_db` says."""
    head: int = 1
    """Number of last convolutions that stay float; the last before each result count as one."""
    product_db: float = 30.0
    """A product stays float if rounding to 255 steps leaves its input fewer dB of signal to noise.
    """
    function_db: float = 25.0
    """The same for a function or sum, with its result as the signal and a slope of 1."""
    depthwise: Literal["float", "coded"] = "coded"
    """Whether depthwise convolutions are coded."""
    float_weights: Literal["float32", "float16"] = "float32"
    """How a coded graph stores the weights that have no codes."""
    decoder: Literal["fp32", "bf16"] = "fp32"
    """What a decoder without codes computes in. "bf16": on a device that has it, if its masks then
    pass the gate."""
    roles: tuple[Role, ...] = (Role.ENCODER,)
    """The graphs that INT8 makes faster on this runtime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device profile: one TOML file in `targets/`."""

    name: str
    device: str
    runtime: str
    runtime_versions: str
    """PEP 440 specifiers, such as ">=10.3,<12"."""
    precision: Precision
    opset: int
    memory_mb: int
    """What the device has for the graphs and the builder's workspace, in units of 10**6 bytes."""
    gate: Gate
    label: str = ""
    """The device in a word, by which a fleet's workers and GitHub runners say what they are. A
    bundle of an edgekit without fleets has none."""
    prompt_slots: tuple[int, ...] = ()
    """For a runtime without dynamic shapes: numbers of points, ascending. Each gets a decoder for
    one prompt. Empty: prompts and points are dynamic."""
    prompt_batches: tuple[PromptShape, ...] = ()
    """Beside `prompt_slots`, decoders for several prompts of few points: (prompts, points) each."""
    cpu_features: tuple[str, ...] = ()
    """Instructions (as /proc/cpuinfo names them) of which the device's CPU has at least one. A CPU
    without any of them computes other results, so a run on it counts as emulated."""
    forbidden_ops: dict[str, str] = field(default_factory=dict)
    """ONNX operators that this target cannot take, each with the reason."""
    options: dict[str, str] = field(default_factory=dict)
    """The runtime's own compile options."""
    int8: Int8Recipe | None = None
    """Set if and only if `precision` is INT8."""
    self_hosted: bool = False
    """On GitHub, whether the target needs a runner of the user's with the same label. Without it, a
    machine of GitHub's runs the target, natively or with a stand-in."""

    @property
    def prompt_shapes(self) -> tuple[PromptShape, ...]:
        """(prompts, points) of each decoder; empty if they are dynamic."""
        return (*((1, slots) for slots in self.prompt_slots), *self.prompt_batches)
