"""Run a captured program node by node, with hooks on operands and results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.export.graph_signature import InputKind

from edgekit.program.capture import Program
from edgekit.program.operators import computes
from edgekit.records import Feeds, FloatArray

OnResult = Callable[[fx.Node, Tensor], Tensor]
"""Called with a node and its result; returns the result to continue with."""

OnOperands = Callable[[fx.Node, tuple[Any, ...]], tuple[Any, ...]]
"""Called with a node and the values of its arguments; returns those to compute with."""


class Walk:
    """A program behind the `Session` protocol, in float32 on the CPU, without optimisation.

    Each tensor is freed after its last use, so peak memory is that of the widest layer.
    """

    def __init__(
        self, program: Program, on_result: OnResult, *, on_operands: OnOperands | None = None
    ) -> None:
        """`on_result` is called for each input of the graph and each node that computes."""
        self._inputs = [spec.name for spec in program.inputs]
        self._outputs = [spec.name for spec in program.outputs]
        self._interpreter = _Interpreter(program, on_result, on_operands)
        self._arguments = _arguments(program)

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run once. Dynamic dimensions may have any size."""
        given = iter([torch.from_numpy(feeds[name]) for name in self._inputs])
        with torch.inference_mode():
            values = [next(given) if value is None else value for value in self._arguments]
            results = self._interpreter.run(*values)
        arrays = (result.numpy() for result in results)
        return dict(zip(self._outputs, arrays, strict=True))


def unchanged(_: fx.Node, result: Tensor) -> Tensor:
    """The `OnResult` of a walk that changes no result."""
    return result


class _Interpreter(fx.Interpreter):
    def __init__(
        self, program: Program, on_result: OnResult, on_operands: OnOperands | None
    ) -> None:
        super().__init__(program.exported.graph_module)
        self.extra_traceback = False  # torch would append it to the message of a user's error
        self._inputs = frozenset(spec.name for spec in program.inputs)
        self._on_result = on_result
        self._on_operands = on_operands

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = super().fetch_args_kwargs_from_env(n)
        return (self._on_operands(n, args) if self._on_operands else args), kwargs

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        hooked = computes(n) or n.name in self._inputs
        return self._on_result(n, result) if hooked else result


def _arguments(program: Program) -> list[Tensor | None]:
    """The values of the graph's placeholders, in order; None for an input."""
    exported = program.exported
    held = {**exported.state_dict, **exported.constants}
    return [
        None if spec.kind is InputKind.USER_INPUT else held[spec.target or ""].detach()
        for spec in exported.graph_signature.input_specs
    ]
