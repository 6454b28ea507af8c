"""ONNX Runtime's threads sleep after a call, and files of weights lie beside their model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import BundleCorrupt
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


SUM = Artifact(
    role=Role.ENCODER,
    format="onnx",
    entry="encoder.onnx",
    files=(),
    inputs=(TensorSpec(name="left", dtype="float32", shape=(4,)),),
    outputs=(TensorSpec(name="sum", dtype="float32", shape=(4,)),),
    ops={"Add": 1},
)


def with_weights_at(location: str) -> bytes:
    """A model that adds four weights, which are in another file."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]>
        graph (float[4] left) => (float[4] sum) { sum = Add (left, weights) }"""
    )
    weights = model.graph.initializer.add(name="weights", dims=[4], data_type=1)
    weights.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        weights.external_data.add(key=key, value=value)
    return model.SerializeToString()


LOCATIONS = {
    "beside the model": ("weights.bin", None),
    "above it": ("../secret.bin", "cannot load encoder.onnx"),
    "anywhere": ("{outside}/secret.bin", "cannot load encoder.onnx"),
    "a device": ("/dev/zero", "cannot load encoder.onnx"),
    "missing": ("none.bin", "cannot load encoder.onnx"),
    "too short": ("short.bin", "cannot load encoder.onnx"),
}


@pytest.mark.parametrize(("location", "words"), LOCATIONS.values(), ids=LOCATIONS)
def test_weights_are_read_from_beside_the_model_only(
    tmp_path: Path, location: str, words: str | None
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for file in (folder / "weights.bin", tmp_path / "secret.bin"):
        file.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (folder / "short.bin").write_bytes(b"1234")
    (folder / "encoder.onnx").write_bytes(with_weights_at(location.format(outside=tmp_path)))
    if words is None:
        session = OrtSession(folder / "encoder.onnx", SUM, threads=1, entries={})
        assert session.run({"left": np.ones(4, np.float32)})["sum"].tolist() == [1, 2, 3, 4]
        return
    with pytest.raises(BundleCorrupt, match=words):
        OrtSession(folder / "encoder.onnx", SUM, threads=1, entries={})
