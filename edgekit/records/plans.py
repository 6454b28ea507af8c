"""Precision plans: which node computes in which precision, and on what calibration."""

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
    """The precision of one node of a captured program."""

    node: str
    """Its name in the program."""
    operator: str
    """The aten operator, such as "conv2d.default"."""
    block: str
    """Dotted path of the module that the node comes from."""
    macs: int
    """Multiply-accumulates per run; in the decoder, for one prompt of two points."""
    precision: Precision
    reason: str | None = None
    """Why the precision is not the requested one, or what an INT8 node still does in float."""
    inputs: tuple[Quantization | None, ...] = ()
    """INT8 only: one code per activation input, None for an input that is read in float."""
    weight: Quantization | None = None
    """INT8 only: the code of the weight."""
    result: Quantization | None = None
    """INT8 only: the code of the result, after the ReLU if one is the only reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """The plan of one graph: every node that computes on floating-point tensors, in order."""

    role: Role
    nodes: tuple[NodePlan, ...]

    @property
    def all_fp32(self) -> bool:
        """Whether every node of the graph computes in FP32."""
        return all(line.precision is Precision.FP32 for line in self.nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecord:
    """The photos and prompts that the ranges were measured on."""

    name: str
    photos: tuple[str, ...]
    """SHA-256 of each file."""
    prompts: int
    sha256: str
    """Digest of everything that decides the ranges: weights, photos and their annotations,
    edgekit's code, versions of tools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionPlan:
    """The precision of every node and the reasons: `precision.json` of a bundle."""

    asked: Precision
    """The target's precision."""
    recipe: str
    """How the plan was made, such as "ranges, then search"."""
    parts: tuple[PartPlan, ...]
    calibration: CalibrationRecord | None = None

    def part(self, role: Role) -> PartPlan:
        """The plan of one role."""
        return next(part for part in self.parts if part.role == role)
