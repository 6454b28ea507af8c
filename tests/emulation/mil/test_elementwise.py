"""Elementwise operators, compared with numbers by hand or from Python's `math`."""

from __future__ import annotations

import math

import pytest
import torch

X = [-2.5, -1.0, 0.0, 0.5, 2.0]
UNARY = {
    "abs": [2.5, 1.0, 0.0, 0.5, 2.0],
    "ceil": [-2.0, -1.0, 0.0, 1.0, 2.0],
    "cos": [math.cos(x) for x in X],
    "erf": [math.erf(x) for x in X],
    "exp": [math.exp(x) for x in X],
    "floor": [-3.0, -1.0, 0.0, 0.0, 2.0],
    "identity": X,
    "relu": [0.0, 0.0, 0.0, 0.5, 2.0],
    "round": [-2.0, -1.0, 0.0, 0.0, 2.0],  # halves to even
    "sigmoid": [1 / (1 + math.exp(-x)) for x in X],
    "sign": [-1.0, -1.0, 0.0, 1.0, 1.0],
    "silu": [x / (1 + math.exp(-x)) for x in X],
    "sin": [math.sin(x) for x in X],
    "softplus": [math.log1p(math.exp(x)) for x in X],
    "square": [6.25, 1.0, 0.0, 0.25, 4.0],
    "tanh": [math.tanh(x) for x in X],
}


@pytest.mark.parametrize("operator", UNARY)
def test_unary(run, operator: str) -> None:
    torch.testing.assert_close(run(operator, x=X), torch.tensor(UNARY[operator]))


BINARY = {
    "add": [3.0, -1.0],
    "equal": [False, False],
    "floor_div": [0.0, -1.0],
    "greater": [False, True],
    "greater_equal": [False, True],
    "less": [True, False],
    "less_equal": [True, False],
    "maximum": [2.0, 2.0],
    "minimum": [1.0, -3.0],
    "mod": [1.0, -1.0],  # the sign of the divisor, as in Python
    "mul": [2.0, -6.0],
    "not_equal": [True, True],
    "pow": [1.0, 0.125],
    "real_div": [0.5, 2.0 / -3.0],
    "sub": [-1.0, 5.0],
}


@pytest.mark.parametrize("operator", BINARY)
def test_binary(run, operator: str) -> None:
    got = run(operator, x=[1.0, 2.0], y=[2.0, -3.0])
    torch.testing.assert_close(got, torch.tensor(BINARY[operator]))


def test_binary_operators_broadcast(run) -> None:
    got = run("add", x=[[1.0], [2.0]], y=[10.0, 20.0, 30.0])
    assert got.tolist() == [[11.0, 21.0, 31.0], [12.0, 22.0, 32.0]]


def test_integers_divide_toward_zero(run) -> None:
    assert run("real_div", x=[7, -7], y=[2, 2]).tolist() == [3, -3]
    assert run("floor_div", x=[7, -7], y=[2, 2]).tolist() == [3, -4]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("logical_and", [True, False, False]),
        ("logical_or", [True, True, False]),
    ],
)
def test_logic(run, operator: str, expected: list[bool]) -> None:
    got = run(operator, x=[True, True, False], y=[True, False, False])
    assert got.tolist() == expected


def test_logical_not(run) -> None:
    assert run("logical_not", x=[True, False]).tolist() == [False, True]


def test_roots_and_logarithms_have_an_epsilon(run) -> None:
    assert run("sqrt", x=[4.0, 2.25]).tolist() == [2.0, 1.5]
    assert run("rsqrt", x=[4.0], epsilon=5.0).item() == pytest.approx(1 / 3)
    assert run("inverse", x=[0.0], epsilon=0.5).item() == 2.0
    assert run("log", x=[1.0], epsilon=math.e - 1).item() == pytest.approx(1.0)


def test_a_cast_to_integers_truncates(run) -> None:
    got = run("cast", x=[-1.7, 1.7], dtype="int32")
    assert (got.dtype, got.tolist()) == (torch.int32, [-1, 1])
    assert run("cast", x=[0.0, -0.5], dtype="bool").tolist() == [False, True]
    assert run("cast", x=[True, False], dtype="fp32").tolist() == [1.0, 0.0]


def test_clip(run) -> None:
    assert run("clip", x=X, alpha=-1.5, beta=1.0).tolist() == [-1.5, -1.0, 0.0, 0.5, 1.0]
    assert run("relu6", x=[-1.0, 3.0, 9.0]).tolist() == [0.0, 3.0, 6.0]


GELU = {
    "EXACT": [x / 2 * (1 + math.erf(x / math.sqrt(2))) for x in X],
    "TANH_APPROXIMATION": [
        x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in X
    ],
    "SIGMOID_APPROXIMATION": [x / (1 + math.exp(-1.702 * x)) for x in X],
}


@pytest.mark.parametrize("mode", GELU)
def test_gelu(run, mode: str) -> None:
    torch.testing.assert_close(run("gelu", x=X, mode=mode), torch.tensor(GELU[mode]))


def test_gelu_is_exact_by_default(run) -> None:
    torch.testing.assert_close(run("gelu", x=X), torch.tensor(GELU["EXACT"]))


def test_leaky_relu_and_hard_sigmoid(run) -> None:
    assert run("leaky_relu", x=[-2.0, 3.0], alpha=0.25).tolist() == [-0.5, 3.0]
    got = run("sigmoid_hard", x=[-9.0, 1.0, 9.0], alpha=0.25, beta=0.5)
    assert got.tolist() == [0.0, 0.75, 1.0]


def test_select(run) -> None:
    got = run("select", cond=[True, False], a=[1.0, 2.0], b=[8.0, 9.0])
    assert got.tolist() == [1.0, 9.0]
