"""One suite over every row of the table of backends.

A planned row is expected to fail one test with NotYet, strictly: when its module lands it takes
part in all of them, and that test says that the mark has to go.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edgekit import backends
from edgekit.backends import BACKENDS, Backend, backend
from edgekit.errors import BadInput, BundleCorrupt, GraphRejected, NotYet, RuntimeMissing
from edgekit.records import (
    Artifact,
    Feeds,
    Gate,
    Graph,
    Precision,
    Role,
    Session,
    Target,
    TensorSpec,
)
from edgekit.store import sha256_of

READY = [name for name, row in BACKENDS.items() if row.module]
PLANNED = ("tensorrt", "coreml", "litert")
not_yet = pytest.mark.xfail(raises=NotYet, strict=True)
TASKS = Path("/proc/self/task")
OPTIONS = {"openvino": {"INFERENCE_PRECISION_HINT": "f32"}}

# A decoder in miniature: dynamic prompts and points, batch 1 broadcast, a normalisation whose
# FP32 result differs from its BF16 one, an output that is a view of an input's values.
GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
decoder (float[1, 4, 8] image, float[prompts, points, 8] tokens, float[prompts] weight)
    => (float[prompts, points, 4] scores, float[prompts, points, 8] mixed)
<float[8] scale = {1, 2, 3, 4, 5, 6, 7, 8}, float[8] shift = {0, 1, 0, 1, 0, 1, 0, 1},
 int64[3] column = {-1, 1, 1}> {
    keys = Transpose <perm = [0, 2, 1]> (image)
    normal = LayerNormalization (tokens, scale, shift)
    scores = MatMul (normal, keys)
    share = Softmax <axis = -1> (scores)
    seen = MatMul (share, image)
    by = Reshape (weight, column)
    scaled = Mul (seen, by)
    mixed = Add (scaled, tokens)
}"""
INPUTS = (
    TensorSpec(name="image", dtype="float32", shape=(1, 4, 8)),
    TensorSpec(name="tokens", dtype="float32", shape=("prompts", "points", 8)),
    TensorSpec(name="weight", dtype="float32", shape=("prompts",)),
)
OUTPUTS = (
    TensorSpec(name="scores", dtype="float32", shape=("prompts", "points", 4)),
    TensorSpec(name="mixed", dtype="float32", shape=("prompts", "points", 8)),
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One backend with its target, a graph, and an empty folder for artifacts."""

    name: str
    backend: Backend
    target: Target
    graph: Graph
    folder: Path

    def lower(self) -> Artifact:
        return self.backend.lower(self.graph, self.target, self.folder)

    def open(self, *, threads: int | None = 1) -> Session:
        artifact = self.lower()
        return self.backend.open_artifact(artifact, self.folder, self.target, threads=threads)


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    name = request.param
    path = tmp_path / "graphs" / "some.onnx"
    path.parent.mkdir()
    model = onnx.parser.parse_model(GRAPH)
    onnx.save(model, path)
    folder = tmp_path / "artifacts"
    folder.mkdir()
    graph = Graph(
        role=Role.DECODER,
        path=path,
        sha256=sha256_of(path),
        opset=20,
        inputs=INPUTS,
        outputs=OUTPUTS,
        ops={node.op_type: 1 for node in model.graph.node} | {"MatMul": 2},
    )
    target = Target(
        name="bench",
        device="a test",
        runtime=name,
        runtime_versions=">=1",
        precision=Precision.FP32,
        opset=20,
        memory_mb=1024,
        gate=Gate(mean_iou=0.999, min_iou=0.99),
        options=OPTIONS.get(name, {}),
    )
    return Case(name=name, backend=backend(name), target=target, graph=graph, folder=folder)


every_backend = pytest.mark.parametrize("case", READY, indirect=True)
every_row = pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=not_yet if name in PLANNED else ()) for name in BACKENDS],
    indirect=True,
)


def _feeds(prompts: int = 3, points: int = 2) -> dict[str, np.ndarray]:
    random = np.random.default_rng(prompts * 10 + points)
    return {
        "image": random.standard_normal((1, 4, 8), np.float32),
        "tokens": random.standard_normal((prompts, points, 8), np.float32),
        "weight": random.standard_normal((prompts,), np.float32),
    }


def _reference(feeds: Feeds) -> dict[str, np.ndarray]:
    results = ReferenceEvaluator(onnx.parser.parse_model(GRAPH)).run(None, dict(feeds))
    return dict(zip((spec.name for spec in OUTPUTS), results, strict=True))


@every_backend
def test_probe_reports_the_installed_version(case: Case) -> None:
    found = case.backend.probe()
    assert found.available
    assert found.reason is None
    assert found.version is not None
    assert int(found.version.split(".")[0]) >= 1
    assert found == backends.probe(case.name)


@every_backend
def test_lowering_writes_what_the_artifact_says(case: Case) -> None:
    artifact = case.lower()
    assert artifact.role is Role.DECODER
    assert artifact.entry.startswith("decoder.")
    assert (artifact.inputs, artifact.outputs) == (INPUTS, OUTPUTS)
    assert {file.path for file in artifact.files} == {p.name for p in case.folder.iterdir()}
    assert artifact.entry in {file.path for file in artifact.files}
    for file in artifact.files:
        written = case.folder / file.path
        assert (file.sha256, file.bytes) == (sha256_of(written), written.stat().st_size)
    assert artifact.ops["MatMul"] == 2
    assert artifact.ops["Softmax"] == 1
    assert not {"Constant", "Parameter", "Result"} & artifact.ops.keys()


@every_backend
def test_lowering_repeats_byte_for_byte(case: Case, tmp_path: Path) -> None:
    first = case.lower()
    again = tmp_path / "again"
    again.mkdir()
    assert case.backend.lower(case.graph, case.target, again) == first


@every_row
def test_a_row_has_a_backend(case: Case) -> None:
    assert case.open().run(_feeds()).keys() == {spec.name for spec in OUTPUTS}


@every_backend
@pytest.mark.parametrize(("prompts", "points"), [(1, 1), (3, 2), (8, 5)])
def test_a_session_equals_the_onnx_reference(case: Case, prompts: int, points: int) -> None:
    feeds = _feeds(prompts, points)
    expected = _reference(feeds)
    got = case.open().run(feeds)
    assert got.keys() == expected.keys()
    for name, array in got.items():
        assert array.dtype == np.float32
        assert array.shape == expected[name].shape
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5)


@every_backend
def test_one_session_takes_changing_sizes_and_keeps_earlier_results(case: Case) -> None:
    session = case.open()
    first_feeds = _feeds(3, 2)
    first = session.run(first_feeds)
    for sizes in ((1, 5), (8, 1), (3, 2)):
        session.run({name: 2 * array for name, array in _feeds(*sizes).items()})
    for name, array in _reference(first_feeds).items():
        np.testing.assert_allclose(first[name], array, rtol=1e-5, atol=1e-5)


@every_backend
def test_a_view_is_as_good_as_a_contiguous_array(case: Case) -> None:
    feeds = _feeds(3, 2)
    expected = _reference(feeds)
    strided = {name: np.repeat(array, 2, axis=-1)[..., ::2] for name, array in feeds.items()}
    assert not any(array.flags.c_contiguous for array in strided.values())
    for name, array in case.open().run(strided).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5)


WRONG_FEEDS = {
    "unknown name": (lambda f: {**f, "extra": f["weight"]}, r"extra.*(?s:.)*exactly"),
    "missing name": (lambda f: {"image": f["image"]}, r"Inputs given: image\."),
    "wrong size": (lambda f: {**f, "image": f["image"][:, :3]}, r"image is float32 .*\[1, 3, 8\]"),
    "wrong rank": (lambda f: {**f, "tokens": f["tokens"][0]}, r"tokens.*\[2, 8\]"),
    "unequal batch": (lambda f: {**f, "weight": f["weight"][:2]}, r"weight(?s:.)*prompts=3"),
    "empty batch": (
        lambda f: {**f, "tokens": f["tokens"][:0], "weight": f["weight"][:0]},
        r"tokens.*\[0, 2, 8\]",
    ),
    "wrong dtype": (lambda f: {**f, "weight": f["weight"].astype(np.float64)}, r"float64"),
}


@every_backend
@pytest.mark.parametrize(("spoil", "message"), WRONG_FEEDS.values(), ids=WRONG_FEEDS)
def test_a_wrong_feed_gives_one_clear_error(case: Case, spoil, message: str) -> None:
    session = case.open()
    with pytest.raises(BadInput, match=message):
        session.run(spoil(_feeds()))
    assert session.run(_feeds()).keys() == {"scores", "mixed"}  # and does no harm


@every_backend
@pytest.mark.skipif(not TASKS.is_dir(), reason="counts threads in Linux's /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_the_thread_count_is_honoured(case: Case, threads: int) -> None:
    """By who does the work: idle threads of a pool do not count, nor do other sessions'."""
    session = case.open(threads=threads)
    feeds = _feeds(1024, 64)
    before, spent = _ticks(), {}
    while sum(spent.values()) < 40:
        session.run(feeds)
        spent = {task: ticks - before.get(task, 0) for task, ticks in _ticks().items()}
    assert sum(ticks >= 4 for ticks in spent.values()) == threads


def _ticks() -> dict[str, int]:
    """CPU time of each thread of this process in user mode, in hundredths of a second."""
    stats = {task.name: (task / "stat").read_text() for task in TASKS.iterdir()}
    return {name: int(stat.rpartition(")")[2].split()[11]) for name, stat in stats.items()}


REFUSED = {"onnxruntime": {"session.load_model_format": "ORT"}, "openvino": {"NO_SUCH": "1"}}


@every_backend
def test_the_targets_options_reach_the_runtime(case: Case) -> None:
    """Shown by options that cannot be: another file format, an unknown property."""
    artifact = case.lower()
    odd = dataclasses.replace(case.target, options=REFUSED[case.name])
    with pytest.raises(BundleCorrupt, match=artifact.entry):
        case.backend.open_artifact(artifact, case.folder, odd, threads=1)


@every_backend
def test_a_damaged_file_is_a_corrupt_bundle(case: Case) -> None:
    artifact = case.lower()
    (case.folder / artifact.entry).write_bytes(b"not a network")
    with pytest.raises(BundleCorrupt, match=artifact.entry):
        case.backend.open_artifact(artifact, case.folder, case.target, threads=1)


@every_backend
def test_a_truncated_file_is_a_corrupt_bundle(case: Case) -> None:
    artifact = case.lower()
    for file in artifact.files:
        whole = (case.folder / file.path).read_bytes()
        (case.folder / file.path).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BundleCorrupt, match=artifact.entry):
            case.backend.open_artifact(artifact, case.folder, case.target, threads=1)
        (case.folder / file.path).write_bytes(whole)


@every_backend
def test_a_missing_file_is_a_corrupt_bundle(case: Case) -> None:
    artifact = case.lower()
    for file in artifact.files:
        aside = shutil.move(case.folder / file.path, case.folder / "aside")
        with pytest.raises(BundleCorrupt, match=artifact.entry):
            case.backend.open_artifact(artifact, case.folder, case.target, threads=1)
        shutil.move(aside, case.folder / file.path)


@every_backend
def test_another_version_than_the_targets_is_refused(case: Case) -> None:
    artifact = case.lower()
    future = dataclasses.replace(case.target, runtime_versions=">=9999")
    message = rf"(?s){case.name} \d.*{case.name}>=9999"
    with pytest.raises(RuntimeMissing, match=message):
        case.backend.lower(case.graph, future, case.folder)
    with pytest.raises(RuntimeMissing, match=message):
        case.backend.open_artifact(artifact, case.folder, future, threads=1)


@every_backend
def test_a_missing_package_names_the_extra(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.backends.installed.find_spec", lambda _: None)
    assert not case.backend.probe().available
    with pytest.raises(RuntimeMissing, match=rf"pip install 'edgekit\[{case.name}\]'"):
        backend(case.name)
    with pytest.raises(RuntimeMissing, match=rf"pip install 'edgekit\[{case.name}\]'"):
        case.lower()


@pytest.mark.parametrize("name", [n for n, row in BACKENDS.items() if row.module is None])
def test_a_planned_runtime_says_not_yet_and_why(name: str) -> None:
    with pytest.raises(NotYet, match=rf"(?s){name}.*Expected: .*openvino.*Next: edgekit targets"):
        backend(name)
    found = backends.probe(name)
    assert not found.available
    assert found.reason is not None
    assert name in found.reason


def test_an_unknown_runtime_says_not_yet() -> None:
    with pytest.raises(NotYet, match="abacus"):
        backend("abacus")


def test_the_table_imports_no_runtime() -> None:
    code = (
        "import sys, edgekit.backends as b; [b.probe(n) for n in b.BACKENDS];"
        "print(*sorted({'torch', 'onnx', 'onnxruntime', 'openvino'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


@every_backend
def test_a_graph_that_the_runtime_cannot_read_never_becomes_a_session(case: Case) -> None:
    """OpenVINO finds out when it converts, ONNX Runtime when it loads."""
    model = onnx.parser.parse_model(GRAPH.replace("Softmax <axis = -1>", "com.example.Magic"))
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    onnx.save(model, case.graph.path)
    with pytest.raises((GraphRejected, BundleCorrupt), match="Magic"):
        case.open()


def test_openvino_is_imported_without_its_telemetry(tmp_path: Path) -> None:
    """Importing it the plain way makes ~/intel and sends an event."""
    pytest.importorskip("openvino")
    code = (
        "import sys; from edgekit.backends.openvino import _silent_openvino;"
        "print(_silent_openvino().__name__, 'openvino_telemetry' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path), "CI": ""},
    )
    assert result.stdout.split() == ["openvino", "False"]
    assert list(tmp_path.iterdir()) == []
