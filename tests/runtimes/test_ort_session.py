"""ONNX Runtime's threads sleep after a call, and files of weights lie beside their model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.catalog import target
from edgekit.errors import BundleCorrupt
from edgekit.records import Artifact, FileDigest, Role, Session, TensorSpec
from edgekit.runtimes import onnxruntime
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


UNLISTED = "takes weights from a file that the manifest does not list"
LOCATIONS = {
    "listed": ("weights.bin", None),
    "not listed": ("other.bin", UNLISTED),
    "above it": ("../secret.bin", UNLISTED),
    "above it, by the way": ("weights.bin/../../secret.bin", UNLISTED),
    "anywhere": ("{outside}/secret.bin", UNLISTED),
    "a device": ("/dev/zero", UNLISTED),
    "missing": ("missing.bin", "cannot load encoder.onnx"),
    "too short": ("short.bin", "cannot load encoder.onnx"),
}


def opened(folder: Path, model: bytes) -> Session:
    """The model, opened in a bundle that lists a file of weights, one too short and one missing."""
    (folder / "encoder.onnx").write_bytes(model)
    listed = (
        FileDigest(path=name, bytes=0, sha256="0" * 64)
        for name in ("encoder.onnx", "weights.bin", "weights.bin", "short.bin", "missing.bin")
    )
    artifact = replace(SUM, files=tuple(listed))
    return onnxruntime.open_artifact(artifact, folder, target("x86-ort-fp32"), threads=1)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for file in (folder / "weights.bin", folder / "other.bin", tmp_path / "secret.bin"):
        file.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (folder / "short.bin").write_bytes(b"1234")
    return folder


@pytest.mark.parametrize(("location", "words"), LOCATIONS.values(), ids=LOCATIONS)
def test_weights_are_read_from_listed_files_only(
    bundle: Path, tmp_path: Path, location: str, words: str | None
) -> None:
    model = with_weights_at(location.format(outside=tmp_path))
    if words is None:
        run = opened(bundle, model).run({"left": np.ones(4, np.float32)})
        assert run["sum"].tolist() == [1, 2, 3, 4]
        return
    with pytest.raises(BundleCorrupt, match=words):
        opened(bundle, model)


SPELLINGS = {
    "value before key": lambda key, value: b"\x12" + value + b"\x0a" + key,
    "a length of two bytes": lambda key, value: b"\x0a\x88\x00" + key[1:] + b"\x12" + value,
    "the key twice": lambda key, value: b"\x0a" + key + b"\x0a" + key + b"\x12" + value,
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_file_that_is_named_in_another_way_is_refused(bundle: Path, spelling) -> None:
    """Protobuf reads all of these as the same entry."""
    plain = with_weights_at("weights.bin")
    key, value = b"\x08location", b"\x0bweights.bin"
    entry = b"\x0a" + key + b"\x12" + value
    assert plain.count(b"\x6a" + bytes([len(entry)]) + entry) == 1
    other = spelling(key, value)
    # The lengths around the entry stay: the check comes before the file is parsed.
    model = plain.replace(bytes([len(entry)]) + entry, bytes([len(other)]) + other)
    with pytest.raises(BundleCorrupt, match=UNLISTED):
        opened(bundle, model)


def test_a_name_with_the_word_location_is_no_file(bundle: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(with_weights_at("weights.bin"))
    model.graph.initializer[0].name = model.graph.node[0].input[1] = "location_embed"
    assert opened(bundle, model.SerializeToString())
