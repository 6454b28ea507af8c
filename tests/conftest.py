"""Fixtures for all tests: bundles with seeded weights, made once per session."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread each: workers share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from edgekit.records import Gate, Precision, Target


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files that are slow as a whole first. The short ones then fill both workers."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    fast = {item.path for item in items if not item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow - fast)


class SilentReport:
    """A `Report` that records stages and warnings."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.warnings: list[str] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.stages.append(name)
        yield

    def progress(self, done: int, total: int | None) -> None:
        """Not recorded."""

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def report() -> SilentReport:
    return SilentReport()


@pytest.fixture(scope="session", autouse=True)
def edgekit_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for this session and all its workers, unless EDGEKIT_CACHE names one."""
    with pytest.MonkeyPatch.context() as patch:
        if "EDGEKIT_CACHE" not in os.environ:
            base = tmp_path_factory.getbasetemp()
            worker = "PYTEST_XDIST_WORKER" in os.environ
            patch.setenv("EDGEKIT_CACHE", str((base.parent if worker else base) / "cache"))
        yield Path(os.environ["EDGEKIT_CACHE"])


@pytest.fixture(autouse=True)
def one_table_of_translations() -> None:
    """torch 2.13 makes its table of translations to ONNX anew for every export: 1 s each time.

    Once a test has imported the exporter, it keeps the tables.
    """
    registration = sys.modules.get("torch.onnx._internal.exporter._registration")
    if registration is not None:
        made = registration.ONNXRegistry.from_torchlib
        if not hasattr(made, "cache_info"):
            registration.ONNXRegistry.from_torchlib = staticmethod(functools.cache(made))


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, edgekit_cache: Path
) -> Callable[[str, str], Path]:
    """`exported(model, target)`: the folder of a bundle with seeded weights. Do not change it.

    Skips the test if the target's runtime is not installed.
    """
    from edgekit import catalog
    from edgekit.lowering import obstacle
    from edgekit.pipeline import ExportRequest, export

    out = tmp_path_factory.mktemp("dist")
    bundles: dict[tuple[str, str], Path] = {}

    def make(model: str, target: str) -> Path:
        if missing := obstacle(catalog.target(target)):
            pytest.skip(missing)
        if (model, target) not in bundles:
            request = ExportRequest(
                model=model, target=target, weights=("seeded",), out=out, verify=False
            )
            bundles[model, target] = export(request, report=SilentReport()).bundle.path
        return bundles[model, target]

    return make


@pytest.fixture(scope="session")
def nanosam_bundle(exported: Callable[[str, str], Path]) -> Path:
    """NanoSAM with seeded weights for OpenVINO in float32. Do not change it."""
    return exported("nanosam", "x86-fp32")


@pytest.fixture(scope="session")
def small_decoder() -> object:
    """A torch module: one mask per prompt, the sum of all inputs; reshapes dynamic dimensions."""
    torch = pytest.importorskip("torch", reason="the decoder is a torch module")

    class SmallDecoder(torch.nn.Module):
        def forward(self, image_embeddings, point_coords, point_labels, mask_input, has_mask_input):
            placed = torch.nn.functional.gelu(point_coords * point_labels.unsqueeze(-1))
            level = image_embeddings.mean() + placed.flatten(1).sum(1)
            masks = mask_input * has_mask_input.reshape(-1, 1, 1, 1) + level.reshape(-1, 1, 1, 1)
            return masks, level.unsqueeze(-1)

    return SmallDecoder()


@pytest.fixture(scope="session")
def target() -> Target:
    """A target without limits of its own."""
    return Target(
        name="bench",
        device="a test",
        runtime="onnxruntime",
        runtime_versions=">=1",
        precision=Precision.FP32,
        opset=20,
        memory_mb=1024,
        gate=Gate(mean_iou=0.999, min_iou=0.99),
    )
