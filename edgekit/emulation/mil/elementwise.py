"""Operators that work element by element."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.emulation.mil.operands import Operands, is_float

DTYPES = {
    "fp16": torch.float32,  # rounded to fp16 where the evaluator stores it
    "fp32": torch.float32,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "uint16": torch.int32,  # torch 2.13 has almost no arithmetic on uint16
    "int32": torch.int32,
    "bool": torch.bool,
}
"""The torch type that holds a tensor of a MIL type."""


def unary(function: Callable[[Tensor], Tensor]) -> Callable[[Operands], Tensor]:
    """An operator on `x`."""
    return lambda given: function(given.tensor("x"))


def binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Operands], Tensor]:
    """An operator on `x` and `y`, which broadcast as in NumPy."""
    return lambda given: function(given.tensor("x"), given.tensor("y"))


def real_div(x: Tensor, y: Tensor) -> Tensor:
    """x / y; between integers, rounded toward zero."""
    return x / y if is_float(x) else torch.div(x, y, rounding_mode="trunc")


def cast(given: Operands) -> Tensor:
    """Convert to another type; floats are truncated toward zero."""
    return given.tensor("x").to(DTYPES[given.text("dtype", "fp32")])


def clip(given: Operands) -> Tensor:
    """Limit `x` to [alpha, beta]."""
    return given.tensor("x").clamp(given.tensor("alpha"), given.tensor("beta"))


def gelu(given: Operands) -> Tensor:
    """The Gaussian error linear unit, exact or by one of two approximations."""
    x, mode = given.tensor("x"), given.text("mode", "EXACT")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def select(given: Operands) -> Tensor:
    """`a` where `cond` is true, `b` elsewhere."""
    return torch.where(given.tensor("cond"), given.tensor("a"), given.tensor("b"))


def leaky_relu(given: Operands) -> Tensor:
    """x, or alpha * x where negative."""
    return F.leaky_relu(given.tensor("x"), given.number("alpha", 0.01))


def sigmoid_hard(given: Operands) -> Tensor:
    """alpha * x + beta, clipped to [0, 1]."""
    line = given.number("alpha", 0.2) * given.tensor("x") + given.number("beta", 0.5)
    return line.clamp(0, 1)


def softplus(given: Operands) -> Tensor:
    """log(1 + exp(x))."""
    return F.softplus(given.tensor("x"))


def rsqrt(given: Operands) -> Tensor:
    """1 / sqrt(x + epsilon)."""
    return torch.rsqrt(given.tensor("x") + given.number("epsilon", 1e-12))


def inverse(given: Operands) -> Tensor:
    """1 / (x + epsilon)."""
    return 1 / (given.tensor("x") + given.number("epsilon", 1e-4))


def log(given: Operands) -> Tensor:
    """The natural logarithm of x + epsilon."""
    return torch.log(given.tensor("x") + given.number("epsilon", 1e-45))


ELEMENTWISE: dict[str, Callable[[Operands], Tensor]] = {
    "abs": unary(torch.abs),
    "add": binary(torch.add),
    "cast": cast,
    "ceil": unary(torch.ceil),
    "clip": clip,
    "cos": unary(torch.cos),
    "equal": binary(torch.eq),
    "erf": unary(torch.erf),
    "exp": unary(torch.exp),
    "floor": unary(torch.floor),
    "floor_div": binary(torch.floor_divide),
    "gelu": gelu,
    "greater": binary(torch.gt),
    "greater_equal": binary(torch.ge),
    "identity": unary(lambda x: x),
    "inverse": inverse,
    "leaky_relu": leaky_relu,
    "less": binary(torch.lt),
    "less_equal": binary(torch.le),
    "log": log,
    "logical_and": binary(torch.logical_and),
    "logical_not": unary(torch.logical_not),
    "logical_or": binary(torch.logical_or),
    "maximum": binary(torch.maximum),
    "minimum": binary(torch.minimum),
    "mod": binary(torch.remainder),
    "mul": binary(torch.mul),
    "not_equal": binary(torch.ne),
    "pow": binary(torch.pow),
    "real_div": binary(real_div),
    "relu": unary(F.relu),
    "relu6": unary(F.relu6),
    "round": unary(torch.round),
    "rsqrt": rsqrt,
    "select": select,
    "sigmoid": unary(torch.sigmoid),
    "sigmoid_hard": sigmoid_hard,
    "sign": unary(torch.sign),
    "silu": unary(F.silu),
    "sin": unary(torch.sin),
    "softplus": softplus,
    "sqrt": unary(torch.sqrt),
    "square": unary(torch.square),
    "sub": binary(torch.sub),
    "tanh": unary(torch.tanh),
}
