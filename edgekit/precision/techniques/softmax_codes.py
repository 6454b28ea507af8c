"""PTQ4SAM's adaptive granularity quantisation (AGQ): logarithmic codes of softmax outputs.

Most outputs of a softmax lie near 0, where steps of equal size are too coarse. Steps of equal ratio
2^(1 / tau) are finer there. A large tau makes them fine near the largest value, a small one reaches
further down; each product has the tau and scale that change its results least:

    code = round(-tau * log2(value / scale)),   value = scale * 2^(-code / tau)

No runtime of edgekit's has an operator on such codes, so no target uses them. They are `emulated`:
`softmax_coded_walk` rounds in PyTorch. Upstream emulates too. Its codes do not fit their bits, for
a value below the last step becomes 0, in addition to 2^bits steps.

Sources: Lv et al., arXiv 2405.03144; chengtao-lv/PTQ4SAM, quantization/fake_quant.py and
quantization/observer.py, for the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, fx

from edgekit.precision.apply.coded_walk import coded_walk
from edgekit.program.attention import weighs_values
from edgekit.program.capture import Program
from edgekit.program.walk import OnResult, Walk, unchanged
from edgekit.records import Feeds, FloatArray, PartPlan

TAUS = (1, 2, 4)

SAMPLED = 2**19
"""About the most attention weights of one product that a search rounds again and again."""

_POWER = 2.4
"""The power to which errors are raised before they are averaged."""

_SMALLEST = 1e-20
"""A logarithm needs a positive number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxCode:
    """The code of one softmax's outputs."""

    tau: int
    scale: float
    bits: int = 8

    def rounded(self, values: Tensor) -> Tensor:
        """Values from 0 to 1 rounded to codes and back: larger ones to `scale`, the least to 0."""
        ratios = values.clamp_min(_SMALLEST) / self.scale
        codes = torch.round(-self.tau * torch.log2(ratios))
        steps = self.scale * torch.exp2(-codes.clamp_min(0) / self.tau)
        return torch.where(codes < 2**self.bits, steps, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A code, and the error that it leaves in the product of weights and values."""

    code: SoftmaxCode
    error: float


def fit(weights: Tensor, values: Tensor, *, tau: int, bits: int = 8) -> Fit:
    """The scale with the smallest error of `weights @ values` that a bounded search finds.

    The error has several minima, of which this is one.

    Args:
        weights: [..., queries, keys], outputs of a softmax.
        values: [..., keys, channels].
        tau: one of `TAUS`.
        bits: of the code.
    """
    exact, largest = weights @ values, float(weights.max())

    def error(scale: float) -> float:
        rounded = SoftmaxCode(tau=tau, scale=float(scale), bits=bits).rounded(weights)
        return float((rounded @ values - exact).abs().pow(_POWER).mean())

    found = minimize_scalar(error, bounds=(0.01 * largest, largest), method="bounded")
    code = SoftmaxCode(tau=tau, scale=float(found.x), bits=bits)
    return Fit(code=code, error=float(found.fun))


def best_code(by_tau: Mapping[int, Sequence[Fit]]) -> SoftmaxCode:
    """The tau with the smallest error in all fits, and the mean scale of its fits."""
    fits = min(by_tau.values(), key=lambda fits: sum(each.error for each in fits))
    return replace(fits[0].code, scale=fmean(each.code.scale for each in fits))


class SoftmaxSearch:
    """A session over a program that finds a code for each product of a softmax's outputs."""

    def __init__(self, program: Program) -> None:
        self._fits: dict[str, dict[int, list[Fit]]] = {}
        self._walk = Walk(program, unchanged, on_operands=self._search)

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run the program in float and search on this photo or prompt."""
        return self._walk.run(feeds)

    def codes(self) -> dict[str, SoftmaxCode]:
        """The best code of all runs, by the product that reads it."""
        return {product: best_code(by_tau) for product, by_tau in self._fits.items()}

    def _search(self, node: fx.Node, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        if weighs_values(node):
            weights, values = operands
            by_tau = self._fits.setdefault(node.name, {tau: [] for tau in TAUS})
            for tau, fits in by_tau.items():
                fits.append(fit(_sampled(weights), values, tau=tau))
        return operands


def softmax_coded_walk(
    program: Program,
    part: PartPlan,
    codes: Mapping[str, SoftmaxCode],
    on_result: OnResult | None = None,
) -> Walk:
    """`coded_walk`, with these codes of softmax outputs in place of the plan's.

    Args:
        program: as captured, in float32.
        part: its plan.
        codes: by the product that reads the outputs.
        on_result: as for `Walk`.

    Raises:
        BadInput: the plan was made for another program.
    """

    def on_operands(node: fx.Node, operands: tuple[Any, ...]) -> tuple[Any, ...]:
        if node.name not in codes:
            return operands
        return (codes[node.name].rounded(operands[0]), *operands[1:])

    lines = tuple(
        replace(line, inputs=(None, *line.inputs[1:])) if line.node in codes else line
        for line in part.nodes
    )
    return coded_walk(program, replace(part, nodes=lines), on_result, on_operands=on_operands)


def _sampled(weights: Tensor) -> Tensor:
    """The weights of evenly spaced queries."""
    step = min(max(1, weights.numel() // SAMPLED), weights.shape[-2])
    return weights[..., ::step, :]
