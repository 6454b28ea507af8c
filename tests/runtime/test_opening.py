"""Opening a bundle: each prompt runs on the decoder with its number of slots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekit.catalog import target
from edgekit.errors import BundleCorrupt
from edgekit.models.registry import model
from edgekit.pack import make_manifest
from edgekit.records import Artifact, Bundle, Role, TensorSpec, WeightsSource
from edgekit.runtime.opening import ShapedDecoder, execution, open_graphs
from edgekit.store import digest_file


class NumberedSession:
    """A session that returns its number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def run(self, _):
        return {"number": np.full(1, self.number, np.float32)}


SHAPES = [(1, 5), (1, 16), (8, 2)]


@pytest.mark.parametrize(("number", "shape"), [*enumerate(SHAPES)])
def test_a_call_runs_the_decoder_of_its_shape(number: int, shape: tuple[int, int]) -> None:
    decoder = ShapedDecoder({each: NumberedSession(i) for i, each in enumerate(SHAPES)})
    feeds = {"point_labels": np.zeros(shape, np.float32)}
    assert decoder.run(feeds)["number"] == number


def test_tensorrt_is_not_emulated_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.emulation.tensorrt.find_spec", lambda _: None)
    how = execution(target("jetson-fp16"))
    assert how.how == "not run"
    assert "to emulate it, package onnx is not installed" in (how.reason or "")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle for ONNX Runtime. Its encoder's weights are in a file beside it, `weights.bin`."""
    graph = onnx.parser.parse_graph(
        "encoder (float[1, 3, 1024, 1024] image) => (float[1, 3, 1024, 1024] features)"
        "{ features = Add(image, offset) }"
    )
    graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1,), np.float32), "offset"))
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    proto.ir_version = 10
    folder = tmp_path / "bundle"
    folder.mkdir()
    onnx.save(
        proto,
        folder / "encoder.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    return listing(folder, "encoder.onnx", "weights.bin")


def listing(folder: Path, *names: str) -> Bundle:
    """A detector's bundle of one graph with these files."""
    image = TensorSpec(name="image", dtype="float32", shape=(1, 3, 1024, 1024))
    artifact = Artifact(
        role=Role.ENCODER,
        format="onnx",
        entry="encoder.onnx",
        files=tuple(digest_file(folder / name, folder) for name in names),
        inputs=(image,),
        outputs=(replace(image, name="features"),),
        ops={"Add": 1},
    )
    manifest = make_manifest(
        model("fastsam_s"),
        target("x86-ort-fp32"),
        WeightsSource(kind="seeded", licence="none", seed=0),
        artifacts=(artifact,),
        golden=(),
    )
    return Bundle(path=folder, manifest=manifest)


def test_listed_weights_beside_a_graph_are_opened(bundle: Bundle) -> None:
    session = open_graphs(bundle, threads=1)[Role.ENCODER]
    features = session.run({"image": np.zeros((1, 3, 1024, 1024), np.float32)})["features"]
    assert (features == 1).all()


def test_weights_that_the_manifest_does_not_list_are_not_opened(bundle: Bundle) -> None:
    with pytest.raises(BundleCorrupt, match=r"encoder\.onnx"):
        open_graphs(listing(bundle.path, "encoder.onnx"), threads=1)


@pytest.mark.parametrize("name", [b"image", b"features", b"Add"])
def test_a_name_in_a_graph_that_is_not_utf8(bundle: Bundle, name: bytes) -> None:
    file = bundle.path / "encoder.onnx"
    file.write_bytes(file.read_bytes().replace(name, b"\xff" + name[1:]))
    with pytest.raises(BundleCorrupt, match=r"encoder\.onnx"):
        open_graphs(bundle, threads=1)


def test_a_bundle_of_links_is_opened(bundle: Bundle, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    bundle.path.rename(blobs)
    bundle.path.mkdir()
    for name in ("encoder.onnx", "weights.bin"):
        (bundle.path / name).symlink_to(f"../blobs/{name}")
    assert open_graphs(bundle, threads=1)
