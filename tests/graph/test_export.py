"""Real encoders and decoders in ONNX: lint-clean, named by the contract, repeatable, correct."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgekit import catalog
from edgekit.errors import GraphRejected
from edgekit.graph.export import lower_to_onnx
from edgekit.graph.lint import lint, lint_file
from edgekit.graph.passes.opset_13 import opset_13
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import load
from edgekit.models.sam.photo_side import PHOTO_MAPS
from edgekit.program.capture import Program, capture_decoder, capture_encoder, image_embeddings
from edgekit.records import Graph, Target
from edgekit.store import sha256_of
from tests.graph.form import require_form
from tests.models.exported import captured

pytestmark = pytest.mark.slow

LABELS = (1, 0, -1, 2, 3, -2)
TOLERANCE = 1e-5  # of the largest value


@pytest.fixture(scope="module", autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def decoder() -> nn.Module:
    row = registry.model("nanosam")
    return load(row, locate(row, ("seeded",))).decoder


@pytest.fixture(scope="module")
def decoder_graph(
    decoder: nn.Module, target: Target, tmp_path_factory: pytest.TempPathFactory
) -> Graph:
    folder = tmp_path_factory.mktemp("decoder")
    return lower_to_onnx(captured(decoder), target, folder=folder)


def _session(graph: Graph) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(graph.path, options)


def _feeds(prompts: int, points: int) -> dict[str, np.ndarray]:
    """Different prompts: all label codes, and a mask if their number is odd."""
    random = np.random.default_rng(10 * prompts + points)
    return {
        "image_embeddings": random.standard_normal((1, 256, 64, 64), np.float32),
        "point_coords": random.random((prompts, points, 2), np.float32) * 1024,
        "point_labels": np.resize(np.array(LABELS, np.float32), (prompts, points)),
        "mask_input": 8 * random.standard_normal((1, 1, 256, 256), np.float32),
        "has_mask_input": np.array([prompts % 2], np.float32),
    }


def _exported(decoder: nn.Module, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The feeds of the exported form, which takes the photo's maps."""
    photo = decoder.exported_form().photo_side()
    prompts = dict(feeds)
    with torch.no_grad():
        maps = photo(torch.from_numpy(prompts.pop("image_embeddings")))
    return prompts | dict(zip(photo.names, (part.numpy() for part in maps), strict=True))


def _assert_equal(got: np.ndarray, expected: torch.Tensor) -> None:
    reference = expected.numpy()
    assert got.dtype == np.float32
    assert got.shape == reference.shape
    assert np.abs(got - reference).max() <= TOLERANCE * np.abs(reference).max()


@pytest.fixture(scope="module")
def decoder_session(decoder_graph: Graph) -> onnxruntime.InferenceSession:
    return _session(decoder_graph)


@pytest.mark.parametrize(("prompts", "points"), list(itertools.product((1, 3, 8), (1, 2, 5))))
def test_the_decoder_equals_torch(
    decoder: nn.Module,
    decoder_session: onnxruntime.InferenceSession,
    prompts: int,
    points: int,
) -> None:
    feeds = _feeds(prompts, points)
    with torch.no_grad():
        expected = decoder(*(torch.from_numpy(array) for array in feeds.values()))
    results = decoder_session.run(None, _exported(decoder, feeds))
    for got, reference in zip(results, expected, strict=True):
        _assert_equal(got, reference)


def test_the_decoder_graph_is_named_as_the_contract_says(decoder_graph: Graph) -> None:
    model = onnx.load(decoder_graph.path)
    shapes = {
        value.name: tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*model.graph.input, *model.graph.output)
    }
    maps = {name: shape for name, shape in shapes.items() if name.startswith("photo_")}
    assert tuple(maps) == PHOTO_MAPS
    assert all(shape[0] == 1 for shape in maps.values())
    assert shapes == maps | {
        "point_coords": ("prompts", "points", 2),
        "point_labels": ("prompts", "points"),
        "mask_input": (1, 1, 256, 256),
        "has_mask_input": (1,),
        "low_res_masks": ("prompts", 4, 256, 256),
        "iou_predictions": ("prompts", 4),
    }
    assert shapes == {s.name: s.shape for s in (*decoder_graph.inputs, *decoder_graph.outputs)}


def test_the_decoder_computes_no_shape_but_that_of_its_own_tokens(decoder_graph: Graph) -> None:
    """Every Reshape is constant; the remaining shapes broadcast the learned tokens."""
    assert decoder_graph.ops["Shape"] <= 2
    assert not {"Range", "OneHot", "Tile", "NonZero", "If", "Mod"} & decoder_graph.ops.keys()
    model = onnx.load(decoder_graph.path)
    constants = {tensor.name for tensor in model.graph.initializer}
    computed = [
        n for n in model.graph.node if n.op_type == "Reshape" and n.input[1] not in constants
    ]
    assert computed == []


def test_the_record_describes_the_file(decoder_graph: Graph, target: Target) -> None:
    model = onnx.load(decoder_graph.path)
    assert decoder_graph.sha256 == sha256_of(decoder_graph.path)
    assert decoder_graph.opset == model.opset_import[0].version == target.opset
    assert sum(decoder_graph.ops.values()) == len(model.graph.node)
    assert [p.name for p in decoder_graph.path.parent.iterdir()] == ["decoder.onnx"]
    assert lint(model, target) == ()


def test_no_trace_of_this_machine_is_left_in_the_file(decoder_graph: Graph) -> None:
    content = decoder_graph.path.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    model = onnx.load(decoder_graph.path)
    parts = (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output)
    assert not any(part.metadata_props for part in parts)
    assert not any(part.doc_string for part in parts)
    assert not model.graph.value_info  # its dimensions have torch's names


@pytest.fixture(scope="module")
def small_program(small_decoder: nn.Module) -> Program:
    return capture_decoder(small_decoder, features=image_embeddings(4, 2, 2))


def test_the_same_module_gives_the_same_bytes(
    small_decoder: nn.Module, small_program: Program, target: Target, tmp_path: Path
) -> None:
    programs = small_program, capture_decoder(small_decoder, features=image_embeddings(4, 2, 2))
    first, second = (lower_to_onnx(program, target, folder=tmp_path) for program in programs)
    assert first == second


def test_opset_13_of_the_decoder_equals_opset_20_and_passes_for_tensorrt_8_2(
    decoder: nn.Module, decoder_graph: Graph, decoder_session: onnxruntime.InferenceSession
) -> None:
    older = opset_13(onnx.load(decoder_graph.path))
    onnx.checker.check_model(older, full_check=True)
    assert lint(older, catalog.target("jetson-nano-fp16")) == ()
    session = onnxruntime.InferenceSession(older.SerializeToString())
    for prompts, points in ((1, 1), (3, 5)):
        feeds = _exported(decoder, _feeds(prompts, points))
        for got, want in zip(
            session.run(None, feeds), decoder_session.run(None, feeds), strict=True
        ):
            _assert_equal(got, torch.from_numpy(want))


def test_a_target_of_opset_13_gets_it(
    small_program: Program, target: Target, tmp_path: Path
) -> None:
    """From the same program, since torch's exporter does not go below opset 18."""
    newer, older = (
        lower_to_onnx(small_program, own, folder=tmp_path)
        for own in (target, catalog.target("jetson-nano-fp16"))
    )
    assert (newer.opset, older.opset) == (20, 13)
    assert newer.ops.get("Gelu") == older.ops.get("Erf") == 1
    assert "Gelu" not in older.ops


def test_another_opset_than_the_targets_is_rejected(
    small_program: Program, target: Target, tmp_path: Path
) -> None:
    """An opset that the exporter does not reach must be an error."""
    old = dataclasses.replace(target, opset=9)
    with pytest.raises(GraphRejected, match=r"target bench needs 9"):
        lower_to_onnx(small_program, old, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


ELSEWHERE = {
    "sam": "SlimSAM's encoder, in a size that takes minutes",
    "mobilesamv2": "EfficientViT-SAM's encoder",
    "supersam": "SlimSAM's encoder, in a size that takes minutes",
    "hqsam2": "SAM 2's encoder, in a size that takes minutes",
    "fastsam3d": "takes volumes: tests/test_volume_model.py",
}
"""Modules of `models/families` whose encoder another test exports."""


def smallest_of_each_family() -> list[str]:
    """One model per module in `models/families`; larger models differ in sizes only."""
    smallest: dict[str, str] = {}
    for row in sorted(registry.models(), key=lambda row: row.parameters):
        module = row.builder.partition(":")[0].rpartition(".")[2]
        smallest.setdefault(module, row.name)
    return sorted(name for module, name in smallest.items() if module not in ELSEWHERE)


def unfolded_norms(program: Program) -> list[str]:
    """The batch norms that directly follow a convolution."""
    nodes = program.exported.graph.nodes
    norms = [node for node in nodes if node.target is torch.ops.aten.batch_norm.default]
    return [norm.name for norm in norms if "conv" in str(norm.args[0].target)]


@pytest.mark.parametrize("name", smallest_of_each_family())
def test_each_encoder_equals_torch(name: str, target: Target, tmp_path: Path) -> None:
    row = registry.model(name)
    encoder = load(row, locate(row, ("seeded",))).encoder
    frame, channels = row.client.preprocessing.frame, row.client.image_channels
    random = np.random.default_rng(0)
    # As its photos are: normalised, or between 0 and 1.
    draw = random.standard_normal if any(row.client.preprocessing.mean) else random.random
    image = draw((1, channels, frame, frame), np.float32)

    program = capture_encoder(encoder, frame=frame, channels=channels, contract=row.graph)
    require_form(program)
    graph = lower_to_onnx(program, target, folder=tmp_path)

    assert lint_file(graph.path, target) == ()
    assert not {"Shape", "Gather"} & graph.ops.keys()
    assert not unfolded_norms(program)
    with torch.no_grad():
        made = encoder(torch.from_numpy(image))
    got = _session(graph).run(None, {"image": image})
    for ours, theirs in zip(got, made if isinstance(made, tuple) else (made,), strict=True):
        _assert_equal(ours, theirs)
