"""Run an engine: choose the profile, set shapes, copy arrays, wait.

Uses the I/O by name (`num_io_tensors`, `set_input_shape`, `execute_async_v3`), the only kind in
TensorRT 10 and 11. TensorRT 8.2 is not served: its Python bindings need Python 3.6, which edgekit
does not support, so its engines are for clients in other languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import BadInput, RuntimeMissing
from edgekit.records import Artifact, Feeds, FloatArray, TensorSpec
from edgekit.runtimes.feeds import checked_feeds
from edgekit.runtimes.interface import Found, difference
from edgekit.runtimes.tensorrt.device import Buffer, Device

REBUILD = "./build.sh in the bundle's folder, on this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The smallest and the largest shape of each input that has a dynamic dimension."""

    index: int
    smallest: dict[str, tuple[int, ...]]
    largest: dict[str, tuple[int, ...]]

    def takes(self, arrays: Feeds) -> bool:
        """Whether the shapes lie within the profile."""
        return all(
            least <= size <= most
            for name in self.smallest
            for least, size, most in zip(
                self.smallest[name], arrays[name].shape, self.largest[name], strict=True
            )
        )


class EngineSession:
    """A session over one engine. Buffers grow to the largest run."""

    def __init__(self, trt: Any, plan: bytes, artifact: Artifact) -> None:
        """Load the engine; `trt` is the module of TensorRT's bindings.

        Raises:
            RuntimeMissing: TensorRT cannot load the engine (another version or GPU), or its tensors
                are not the artifact's; the message has the command to build it again.
        """
        self._device = Device()
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:  # TensorRT logs the reason and raises nothing
            raise unfit(artifact, f"TensorRT {trt.__version__} cannot load it")
        _require_tensors(trt, engine, artifact)
        self._engine = engine  # must outlive its context
        self._context = engine.create_execution_context()
        self._inputs = artifact.inputs
        self._outputs = artifact.outputs
        self._profiles = _profiles(engine, artifact.inputs)
        self._buffers: dict[str, Buffer] = {}

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run; results are new arrays.

        Raises:
            BadInput: names, types or shapes are wrong, or outside every profile of the engine.
        """
        arrays = {
            name: np.ascontiguousarray(array)
            for name, array in checked_feeds(feeds, self._inputs).items()
        }
        self._device.make_current()
        self._choose_profile(arrays)
        for name, array in arrays.items():
            self._context.set_input_shape(name, array.shape)
            self._device.upload(array, self._bound_buffer(name, array.nbytes))
        results = {spec.name: self._result(spec) for spec in self._outputs}
        if not self._context.execute_async_v3(self._device.stream):
            raise RuntimeMissing("TensorRT could not run the engine.", next_step=REBUILD)
        for name, array in results.items():
            self._device.download(self._buffers[name], array)
        self._device.finish()
        return results

    def _choose_profile(self, arrays: dict[str, FloatArray]) -> None:
        fitting = (profile.index for profile in self._profiles if profile.takes(arrays))
        if (index := next(fitting, None)) is None:
            raise _outside_profiles(arrays, self._profiles)
        if index != self._context.active_optimization_profile:
            self._context.set_optimization_profile_async(index, self._device.stream)

    def _result(self, spec: TensorSpec) -> FloatArray:
        """Allocate the array and the buffer of an output; its shape follows from the inputs."""
        array = np.empty(tuple(self._context.get_tensor_shape(spec.name)), np.float32)
        self._bound_buffer(spec.name, array.nbytes)
        return array

    def _bound_buffer(self, name: str, size: int) -> Buffer:
        """A buffer of at least this size, bound to the tensor in the context."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[name] = self._device.buffer(size)
        self._context.set_tensor_address(name, buffer.address)
        return buffer


def unfit(artifact: Artifact, why: str) -> RuntimeMissing:
    """The error for an engine that does not fit this machine."""
    return RuntimeMissing(
        f"The {artifact.role} engine does not fit this machine: {why}.",
        expected="an engine built here: it fits one GPU model and one TensorRT version",
        next_step=REBUILD,
    )


def _profiles(engine: Any, inputs: tuple[TensorSpec, ...]) -> tuple[Profile, ...]:
    profiles = []
    dynamic = [spec.name for spec in inputs if any(isinstance(dim, str) for dim in spec.shape)]
    for index in range(engine.num_optimization_profiles):
        shapes = {name: engine.get_tensor_profile_shape(name, index) for name in dynamic}
        profiles.append(
            Profile(
                index=index,
                smallest={name: tuple(least) for name, (least, _, _) in shapes.items()},
                largest={name: tuple(most) for name, (_, _, most) in shapes.items()},
            )
        )
    return tuple(profiles)


def _require_tensors(trt: Any, engine: Any, artifact: Artifact) -> None:
    """Check names, modes, float32 and shapes: the engine may come from any file."""
    modes = {trt.TensorIOMode.INPUT: artifact.inputs, trt.TensorIOMode.OUTPUT: artifact.outputs}
    wanted = {(spec.name, mode) for mode, specs in modes.items() for spec in specs}
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    if {(name, engine.get_tensor_mode(name)) for name in names} != wanted:
        raise unfit(artifact, f"its tensors are {', '.join(names)}")
    for name in names:
        if engine.get_tensor_dtype(name) != trt.DataType.FLOAT:
            raise unfit(artifact, f"{name} is {engine.get_tensor_dtype(name)}, not float32")
    for spec in (*artifact.inputs, *artifact.outputs):
        sizes = (int(size) for size in engine.get_tensor_shape(spec.name))
        found = Found(shape=tuple(size if size >= 0 else None for size in sizes))
        if shape := difference(found, spec):
            raise unfit(artifact, f"{spec.name} is {shape}, not {[*spec.shape]}")


def _outside_profiles(arrays: dict[str, FloatArray], profiles: tuple[Profile, ...]) -> BadInput:
    given = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
    largest = profiles[-1].largest if profiles else {}
    return BadInput(
        f"The engine was not built for these shapes: {given}.",
        expected=", ".join(f"{name} up to {list(shape)}" for name, shape in largest.items()),
        next_step="fewer prompts at once, or raise the target's options and export again",
    )
