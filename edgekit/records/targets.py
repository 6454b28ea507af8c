"""Device profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgekit.records.contract import Role
from edgekit.records.enums import StrEnum


class Precision(StrEnum):
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


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
    as well, whoever reads it. The convolution nearest to each result and the last `head` of all
    stay float; depthwise ones may; and what 255 steps are too few for, where less than so many dB
    of signal to noise are left of what a product reads (`product_db`), or of what a function or sum
    makes of it, at its steepest (`function_db`).
    `float_weights` is how weights without codes are stored in a coded graph. `roles` are the graphs
    that INT8 makes faster there.
    """

    activations: Literal["uint8", "int8", "affine_int8"]
    weighted: tuple[str, ...] = ("conv2d", "linear")
    reads: tuple[str, ...] = ()
    sums: Literal["both", "shortcut", "none"] = "none"
    results: Literal["float", "coded"] = "float"
    head: int = 1
    product_db: float = 30.0
    function_db: float = 25.0
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
