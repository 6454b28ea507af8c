"""ONNX Runtime's threads sleep after a call, so that the next session has the cores."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from edgekit.records import Artifact, Role, TensorSpec
from edgekit.runtimes.ort_session import OrtSession

SIDE = 768
SPIN_S = 0.05
"""How long ONNX Runtime's threads stay awake by default (1.31)."""


@pytest.fixture
def product() -> bytes:
    """A model of one product that is large enough for several threads."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    shape = f"float[{SIDE}, {SIDE}]"
    text = f"""<ir_version: 10, opset_import: ["" : 20]>
    graph ({shape} left) => ({shape} squared) {{ squared = MatMul (left, left) }}"""
    return onnx.parser.parse_model(text).SerializeToString()


def busy_seconds(model: bytes) -> Iterator[float]:
    """CPU time of this process in the moments after each of three calls."""
    shape = (SIDE, SIDE)
    artifact = Artifact(
        role=Role.ENCODER,
        format="onnx",
        entry="encoder.onnx",
        files=(),
        inputs=(TensorSpec(name="left", dtype="float32", shape=shape),),
        outputs=(TensorSpec(name="squared", dtype="float32", shape=shape),),
        ops={"MatMul": 1},
    )
    session = OrtSession(model, artifact, threads=2, entries={})
    feeds = {"left": np.ones(shape, np.float32)}
    for _ in range(3):
        session.run(feeds)
        before = time.process_time()
        time.sleep(SPIN_S)
        yield time.process_time() - before


def test_threads_sleep_after_a_call(product: bytes) -> None:
    assert min(busy_seconds(product)) < 0.2 * SPIN_S
