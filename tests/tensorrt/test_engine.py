"""The runner: real copies through a driver of malloc, calls held against the bindings."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import catalog
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.records import Artifact, EngineRecord, FileDigest, Role, TensorSpec
from edgekit.runtime.opening import execution
from edgekit.runtimes import tensorrt
from edgekit.runtimes.tensorrt import build_engine, device, installation
from edgekit.runtimes.tensorrt.engine import EngineSession
from edgekit.runtimes.tensorrt.installation import Installation

ORIN = {"gpu": "Orin", "compute_capability": "8.7", "driver": "CUDA 12.6"}


@pytest.fixture(autouse=True)
def driver(driver_library: Path, monkeypatch: pytest.MonkeyPatch) -> ctypes.CDLL:
    monkeypatch.setattr(device, "LIBRARY", str(driver_library))
    return ctypes.CDLL(str(driver_library))


@pytest.fixture
def artifact() -> Artifact:
    """y = scale * (x summed over its points), for 1 to 16 prompts of 1 to 8 points."""
    return Artifact(
        role=Role.DECODER,
        format="onnx",
        entry="decoder.onnx",
        files=(FileDigest(path="decoder.onnx", sha256="a" * 64, bytes=1),),
        inputs=(
            TensorSpec(name="scale", dtype="float32", shape=(2,)),
            TensorSpec(name="x", dtype="float32", shape=("prompts", "points")),
        ),
        outputs=(TensorSpec(name="y", dtype="float32", shape=("prompts", 2)),),
        ops={},
    )


class Engine:
    """An engine of two profiles that computes on the addresses that it is given."""

    PROFILES = (((1, 1), (1, 2), (1, 8)), ((1, 1), (4, 2), (16, 8)))

    def __init__(
        self,
        bindings: Any,
        *,
        loads: bool = True,
        outputs: str = "y",
        sizes: dict[str, tuple[int, ...]] | None = None,
    ) -> None:
        modes = bindings.enums["TensorIOMode"]
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}
        self.active = 0
        names = ["scale", "x", outputs]
        self.context = bindings.fake(
            "IExecutionContext",
            active_optimization_profile=0,
            set_optimization_profile_async=self._activate,
            set_input_shape=self.shapes.__setitem__,
            set_tensor_address=self.addresses.__setitem__,
            get_tensor_shape=lambda _: (self.shapes["x"][0], 2),
            execute_async_v3=self._execute,
        )
        self.engine = bindings.fake(
            "ICudaEngine",
            num_io_tensors=len(names),
            get_tensor_name=names.__getitem__,
            get_tensor_mode=lambda name: modes.INPUT if name in names[:2] else modes.OUTPUT,
            get_tensor_dtype=bindings.enums["DataType"].FLOAT,
            get_tensor_shape={"x": (-1, -1), "scale": (2,), "y": (-1, 2), **(sizes or {})}.get,
            num_optimization_profiles=len(self.PROFILES),
            get_tensor_profile_shape=self._profile,
            create_execution_context=self.context,
        )
        self.runtime = bindings.fake(
            "Runtime", deserialize_cuda_engine=self.engine if loads else None
        )
        self.module = bindings.module(Logger=bindings.fake("Logger"), Runtime=self.runtime)

    def _profile(self, name: str, index: int) -> list[tuple[int, ...]]:
        assert name == "x", "a static input has no profile"
        return list(self.PROFILES[index])

    def _activate(self, index: int, stream: int) -> bool:
        assert stream == 7
        self.active = index
        vars(self.context)["_does"]["active_optimization_profile"] = index
        return True

    def _execute(self, stream: int) -> bool:
        assert stream == 7
        least, _, most = self.PROFILES[self.active]
        assert all(a <= b <= c for a, b, c in zip(least, self.shapes["x"], most, strict=True))
        x, scale = self._array("x", self.shapes["x"]), self._array("scale", (2,))
        self._array("y", (len(x), 2))[:] = x.sum(1, keepdims=True) * scale
        return True

    def _array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        floats = ctypes.POINTER(ctypes.c_float)
        return np.ctypeslib.as_array(ctypes.cast(self.addresses[name], floats), shape)


def _feeds(prompts: int, points: int) -> dict[str, np.ndarray]:
    x = np.arange(prompts * points, dtype=np.float32).reshape(prompts, points)
    return {"x": x, "scale": np.array([1, -2], np.float32)}


@pytest.mark.slow
@pytest.mark.parametrize("major", ["10", "11"])
def test_results_are_those_of_the_engine_for_any_shape(
    bindings_of: Callable[..., Any], artifact: Artifact, major: str
) -> None:
    fakes = Engine(bindings_of(major))
    session = EngineSession(fakes.module, b"plan", artifact)
    kept = []
    for prompts, points, profile in ((1, 2, 0), (16, 8, 1), (3, 1, 1), (1, 8, 0)):
        feeds = _feeds(prompts, points)
        result = session.run(feeds)["y"]
        want = feeds["x"].sum(1, keepdims=True) * feeds["scale"]
        np.testing.assert_array_equal(result, want)
        assert fakes.active == profile
        kept.append((result, want))
    for result, want in kept:  # no result is a view of a buffer that a later run wrote to
        np.testing.assert_array_equal(result, want)


def test_arrays_that_are_not_contiguous_are_copied_right(
    bindings_of: Callable[..., Any], artifact: Artifact
) -> None:
    session = EngineSession(Engine(bindings_of("10")).module, b"plan", artifact)
    feeds = _feeds(6, 4)
    feeds["x"] = feeds["x"][::2, ::-1]
    np.testing.assert_array_equal(
        session.run(feeds)["y"], feeds["x"].sum(1, keepdims=True) * feeds["scale"]
    )


def test_buffers_are_kept_between_runs_and_freed_with_the_session(
    bindings_of: Callable[..., Any], artifact: Artifact, driver: ctypes.CDLL
) -> None:
    before = driver.living_buffers()
    session = EngineSession(Engine(bindings_of("10")).module, b"plan", artifact)
    for _ in range(3):
        session.run(_feeds(4, 4))
    assert driver.living_buffers() == before + 3
    session.run(_feeds(16, 8))
    assert driver.living_buffers() == before + 3, "outgrown buffers are freed"
    del session
    gc.collect()
    assert driver.living_buffers() == before


def test_shapes_beyond_all_profiles_are_refused_with_the_limits(
    bindings_of: Callable[..., Any], artifact: Artifact
) -> None:
    session = EngineSession(Engine(bindings_of("10")).module, b"plan", artifact)
    with pytest.raises(BadInput, match=r"not built for these shapes: .*x \[17, 2\]") as caught:
        session.run(_feeds(17, 2))
    assert caught.value.expected == "x up to [16, 8]"


def test_an_engine_that_tensorrt_does_not_load_is_refused_with_the_command(
    bindings_of: Callable[..., Any], artifact: Artifact
) -> None:
    fakes = Engine(bindings_of("10"), loads=False)
    with pytest.raises(RuntimeMissing, match=r"TensorRT 10\.3\.0 cannot load it") as caught:
        EngineSession(fakes.module, b"plan", artifact)
    assert "./build.sh" in str(caught.value.next_step)


@pytest.mark.parametrize("name", ["scale", "x", "y"])
def test_an_engine_of_other_shapes_is_refused(
    bindings_of: Callable[..., Any], artifact: Artifact, name: str
) -> None:
    fakes = Engine(bindings_of("10"), sizes={name: (3, 3, 3)})
    with pytest.raises(RuntimeMissing, match=rf"{name} is float32 \[3, 3, 3\], not"):
        EngineSession(fakes.module, b"plan", artifact)


def test_an_engine_of_another_graph_is_refused(
    bindings_of: Callable[..., Any], artifact: Artifact
) -> None:
    fakes = Engine(bindings_of("10"), outputs="masks")
    with pytest.raises(RuntimeMissing, match="its tensors are scale, x, masks"):
        EngineSession(fakes.module, b"plan", artifact)


def test_what_the_driver_says_is_passed_on(driver_library: Path) -> None:
    with pytest.raises(RuntimeMissing, match="cuMemAlloc_v2: out of memory"):
        device.Device().buffer(2_000_000)


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "LIBRARY", "libnothing.so")
    with pytest.raises(RuntimeMissing, match="no NVIDIA driver"):
        device.Device()


# --- which engine is opened ----------------------------------------------------------------------


def _record(**changed: Any) -> EngineRecord:
    record = EngineRecord(
        file=FileDigest(path="decoder.engine", sha256="b" * 64, bytes=4),
        source_sha256="a" * 64,
        tensorrt="10.3.0.26",
        **ORIN,
    )
    return dataclasses.replace(record, **changed)


def test_an_engine_built_here_is_opened(
    bindings_of: Callable[..., Any], artifact: Artifact, tmp_path: Path
) -> None:
    (tmp_path / "decoder.engine").write_bytes(b"plan")
    fakes = Engine(bindings_of("10"))
    here = Installation(trt=fakes.module, gpu=ORIN)
    session = here.open(dataclasses.replace(artifact, engine=_record()), tmp_path)
    assert session.run(_feeds(2, 2))["y"].shape == (2, 2)
    assert fakes.runtime.calls == [("deserialize_cuda_engine", b"plan")]


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (None, "There is no decoder engine yet. TensorRT 10.3.0 is installed"),
        (_record(source_sha256="c" * 64), "it was built from another decoder.onnx"),
        (
            _record(tensorrt="10.7.0"),
            "it was built by TensorRT 10.7.0, and this machine has 10.3.0",
        ),
        (
            _record(gpu="NVIDIA GeForce RTX 3090", compute_capability="8.6"),
            "it was built on NVIDIA GeForce RTX 3090 8.6, and this machine has Orin 8.7",
        ),
    ],
)
def test_an_engine_that_does_not_fit_is_refused_with_the_command(
    bindings_of: Callable[..., Any],
    artifact: Artifact,
    tmp_path: Path,
    engine: EngineRecord | None,
    why: str,
) -> None:
    here = Installation(trt=Engine(bindings_of("10")).module, gpu=ORIN)
    with pytest.raises(RuntimeMissing) as caught:
        here.open(dataclasses.replace(artifact, engine=engine), tmp_path)
    assert why in caught.value.what
    assert caught.value.next_step == "./build.sh in the bundle's folder, on this machine"


def test_without_tensorrt_or_gpu_execution_is_emulated_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(installation, "find_installation", lambda: "TensorRT is not installed")
    said = execution(catalog.target("jetson-fp16"))
    assert said.label == f"emulated by ONNX Runtime {version('onnxruntime')}"
    assert said.reason is not None
    assert said.reason.startswith("TensorRT is not installed; engines are built on the device")


def test_where_tensorrt_and_a_gpu_are_execution_is_native_for_targets_of_that_version(
    monkeypatch: pytest.MonkeyPatch, bindings_of: Callable[..., Any]
) -> None:
    here = Installation(trt=Engine(bindings_of("10")).module, gpu=ORIN)
    monkeypatch.setattr(installation, "find_installation", lambda: here)
    monkeypatch.setattr(tensorrt, "find_installation", lambda: here)
    assert tensorrt.probe().version == "10.3.0 on Orin"
    assert execution(catalog.target("jetson-fp16")).how == "native"
    nano = execution(catalog.target("jetson-nano-fp16"))
    assert nano.how == "emulated"
    assert str(nano.reason).startswith("TensorRT 10.3.0 is not >=8.2,<8.3; ")


def test_bindings_without_a_gpu_are_no_installation(
    monkeypatch: pytest.MonkeyPatch, bindings_of: Callable[..., Any], driver_library: Path
) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda _: object())
    monkeypatch.setitem(sys.modules, "tensorrt", Engine(bindings_of("10")).module)
    real = build_engine.gpu
    monkeypatch.setattr(build_engine, "gpu", lambda: real("libnothing.so"))
    assert "no NVIDIA driver" in str(installation.find_installation())
    monkeypatch.setattr(build_engine, "gpu", lambda: real(str(driver_library)))
    found = installation.find_installation()
    assert isinstance(found, Installation)
    assert found.gpu == ORIN
