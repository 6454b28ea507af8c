"""Which node computes in which precision, on what calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.records.contract import Role
from edgekit.records.targets import Precision


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
