"""One suite for every row of the table of runtimes, for making files and for running them.

A runtime that takes ONNX gets a graph with dynamic dimensions. A runtime that takes programs gets
the same function for one prompt.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edgekit import runtimes
from edgekit.catalog.runtimes import RUNTIMES, install_command
from edgekit.errors import BadInput, BundleCorrupt, GraphRejected, NotYet, RuntimeMissing
from edgekit.lowering import lowering, obstacle
from edgekit.records import (
    Artifact,
    Feeds,
    Gate,
    Graph,
    OnnxGraph,
    Precision,
    Role,
    SavedProgram,
    Session,
    Target,
    TensorSpec,
)
from edgekit.runtime.opening import execution, open_artifact
from edgekit.store import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

TAKING_ONNX = [name for name, row in RUNTIMES.items() if row.takes == "onnx"]
TAKING_PROGRAMS = [name for name, row in RUNTIMES.items() if row.takes == "program"]
EMULATED = ("tensorrt",) if sys.platform == "darwin" else ("coreml", "tensorrt")
"""Runtimes that exist on the device only; a stand-in runs their files here."""
STAND_INS = {
    "tensorrt": f"ONNX Runtime {version('onnxruntime')}",
    "coreml": f"edgekit's MIL evaluator (torch {version('torch')})",
}
TASKS = Path("/proc/self/task")
OPTIONS = {
    "openvino": {"INFERENCE_PRECISION_HINT": "f32"},
    "coreml": {"minimum_deployment_target": "iOS17"},
}
OPERATORS = {
    "coreml": {"layer_norm": 1, "matmul": 2, "softmax": 1},
    "litert": {"BATCH_MATMUL": 2, "SOFTMAX": 1},
}

# A tiny decoder: dynamic prompts and points, a broadcast batch of 1, a normalisation with different
# results in FP32 and BF16, and an output that is a view of an input.
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
OUTPUTS = ("scores", "mixed")
OPS = {"Transpose": 1, "LayerNormalization": 1, "MatMul": 2, "Softmax": 1, "Reshape": 1} | {
    "Mul": 1,
    "Add": 1,
}
FIXED = (1, 4)


@dataclasses.dataclass(frozen=True)
class Case:
    """One runtime with its target, a graph, and the artifact made from it in `folder`."""

    name: str
    target: Target
    graph: Graph
    artifact: Artifact
    folder: Path

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(prompts, points) that the graph takes."""
        return ((3, 2), (1, 1), (8, 5)) if self.graph.format == "onnx" else (FIXED,)

    def feeds(self) -> dict[str, np.ndarray]:
        return _feeds(*self.sizes[0])

    def lower(self, folder: Path) -> Artifact:
        """Another artifact of the graph."""
        folder.mkdir()
        return lowering(self.target).lower(self.graph, self.target, folder)

    def open(self, *, threads: int | None = 1) -> Session:
        return open_artifact(self.artifact, self.folder, self.target, threads=threads)

    def copy(self, folder: Path) -> Case:
        """A case of its own, whose files a test may change."""
        shutil.copytree(self.folder.parent, folder)
        path = folder / self.graph.path.relative_to(self.folder.parent)
        graph = dataclasses.replace(self.graph, path=path)
        return dataclasses.replace(self, graph=graph, folder=folder / self.folder.name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """`made(runtime)`: its case, made once. Do not change its files."""
    return functools.cache(lambda name: _case(name, tmp_path_factory.mktemp(name)))


@pytest.fixture
def case(request: pytest.FixtureRequest, made: Callable[[str], Case], tmp_path: Path) -> Case:
    return made(request.param).copy(tmp_path / "case")


def _case(name: str, folder: Path, *, fixed: tuple[int, int] = FIXED) -> Case:
    """`fixed`: prompts and points of a graph whose sizes cannot be dynamic."""
    target = Target(
        name="bench",
        device="a test",
        runtime=name,
        runtime_versions=">=1",
        precision=Precision.FP16 if name == "tensorrt" else Precision.FP32,
        opset=20,
        memory_mb=1024,
        gate=Gate(mean_iou=0.999, min_iou=0.99),
        options=OPTIONS.get(name, {}),
    )
    if missing := obstacle(target):
        pytest.skip(missing)
    if (how := execution(target)).how == "not run":
        pytest.skip(how.reason)
    sources, artifacts = folder / "graphs", folder / "artifacts"
    sources.mkdir()
    artifacts.mkdir()
    graph = _onnx_graph(sources) if name in TAKING_ONNX else _program_graph(sources, fixed)
    artifact = lowering(target).lower(graph, target, artifacts)
    return Case(name=name, target=target, graph=graph, artifact=artifact, folder=artifacts)


def _onnx_graph(folder: Path) -> Graph:
    path = folder / "some.onnx"
    onnx.save(onnx.parser.parse_model(GRAPH), path)
    return OnnxGraph(opset=20, **_facts(path, "prompts", "points"))


def _program_graph(folder: Path, sizes: tuple[int, int]) -> Graph:
    torch = pytest.importorskip("torch", reason="programs come from torch")

    class Miniature(torch.nn.Module):
        def forward(self, image: Tensor, tokens: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
            shift = torch.tensor([0.0, 1.0] * 4)
            normal = torch.nn.functional.layer_norm(tokens, (8,), torch.arange(1.0, 9.0), shift)
            scores = normal @ image.transpose(1, 2)
            seen = torch.softmax(scores, -1) @ image
            return scores, seen * weight.reshape(-1, 1, 1) + tokens

    example = tuple(torch.zeros(array.shape) for array in _feeds(*sizes).values())
    path = folder / "decoder.pt2"
    torch.export.save(torch.export.export(Miniature(), example, strict=False), path)
    return SavedProgram(**_facts(path, *sizes))


def _facts(path: Path, prompts: int | str, points: int | str) -> dict[str, object]:
    shapes = {
        "image": (1, 4, 8),
        "tokens": (prompts, points, 8),
        "weight": (prompts,),
        "scores": (prompts, points, 4),
        "mixed": (prompts, points, 8),
    }
    specs = [TensorSpec(name=n, dtype="float32", shape=shape) for n, shape in shapes.items()]
    return {
        "role": Role.DECODER,
        "path": path,
        "sha256": sha256_of(path),
        "inputs": tuple(specs[:3]),
        "outputs": tuple(specs[3:]),
        "ops": OPS,
    }


every_runtime = pytest.mark.parametrize("case", RUNTIMES, indirect=True)
installed_runtime = pytest.mark.parametrize(
    "case", [name for name, row in RUNTIMES.items() if not row.exports_without], indirect=True
)


def _feeds(prompts: int, points: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(prompts * 10 + points)
    return {
        "image": random.standard_normal((1, 4, 8), np.float32),
        "tokens": random.standard_normal((prompts, points, 8), np.float32),
        "weight": random.standard_normal((prompts,), np.float32),
    }


def _reference(feeds: Feeds) -> dict[str, np.ndarray]:
    results = ReferenceEvaluator(onnx.parser.parse_model(GRAPH)).run(None, dict(feeds))
    return dict(zip(OUTPUTS, results, strict=True))


@every_runtime
def test_probe_reports_the_installed_version(case: Case) -> None:
    """The runtime's own: a stand-in's version never takes its place."""
    found = runtimes.probe(case.name)
    assert found.available == (case.name not in EMULATED)
    if case.name in EMULATED:
        assert found.version is None
        assert found.reason
    else:
        assert found.reason is None
        assert int(found.version.split(".")[0]) >= 1


@every_runtime
def test_a_stand_in_says_that_it_is_one(case: Case) -> None:
    how = execution(case.target)
    assert how.how == ("emulated" if case.name in EMULATED else "native")
    assert (how.reason is None) == (how.how == "native")
    assert how.label == (f"emulated by {STAND_INS[case.name]}" if how.by else "native")


@every_runtime
def test_lowering_writes_what_the_artifact_says(case: Case) -> None:
    artifact = case.artifact
    assert artifact.role is Role.DECODER
    assert artifact.entry.startswith("decoder.")
    assert (artifact.inputs, artifact.outputs) == (case.graph.inputs, case.graph.outputs)
    written = [path for path in case.folder.rglob("*") if path.is_file()]
    paths = {file.path for file in artifact.files}
    assert paths == {path.relative_to(case.folder).as_posix() for path in written}
    assert artifact.entry in paths | {path.partition("/")[0] for path in paths}
    for file in artifact.files:
        written = case.folder / file.path
        assert (file.sha256, file.bytes) == (sha256_of(written), written.stat().st_size)
    expected = OPERATORS.get(case.name, {"MatMul": 2, "Softmax": 1})
    assert expected.items() <= artifact.ops.items()
    assert not {"Constant", "Parameter", "Result"} & artifact.ops.keys()


@pytest.mark.slow
@every_runtime
@pytest.mark.slow
def test_lowering_repeats_byte_for_byte(case: Case, tmp_path: Path) -> None:
    assert case.lower(tmp_path / "again") == case.artifact


@every_runtime
def test_a_session_equals_the_onnx_reference(case: Case) -> None:
    session = case.open()
    for sizes in case.sizes:
        feeds = _feeds(*sizes)
        expected = _reference(feeds)
        got = session.run(feeds)
        assert got.keys() == expected.keys()
        for name, array in got.items():
            assert array.dtype == np.float32
            assert array.shape == expected[name].shape
            np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5)


@every_runtime
def test_one_session_takes_changing_sizes_and_keeps_earlier_results(case: Case) -> None:
    session = case.open()
    first_feeds = case.feeds()
    first = session.run(first_feeds)
    for sizes in (*case.sizes[1:], case.sizes[0]):
        session.run({name: 2 * array for name, array in _feeds(*sizes).items()})
    for name, array in _reference(first_feeds).items():
        np.testing.assert_allclose(first[name], array, rtol=1e-5, atol=1e-5)


@every_runtime
def test_a_view_is_as_good_as_a_contiguous_array(case: Case) -> None:
    feeds = case.feeds()
    expected = _reference(feeds)
    strided = {name: np.repeat(array, 2, axis=-1)[..., ::2] for name, array in feeds.items()}
    assert not strided["tokens"].flags.c_contiguous
    for name, array in case.open().run(strided).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5)


WRONG_FEEDS = {
    "unknown name": (lambda f: {**f, "extra": f["weight"]}, r"extra.*(?s:.)*exactly"),
    "missing name": (lambda f: {"image": f["image"]}, r"Inputs given: image\."),
    "wrong size": (lambda f: {**f, "image": f["image"][:, :3]}, r"image is float32 .*\[1, 3, 8\]"),
    "wrong rank": (lambda f: {**f, "tokens": f["tokens"][0]}, r"tokens.*\[[24], 8\]"),
    "unequal batch": (
        lambda f: {**f, "weight": np.ones(2, np.float32)},
        r"weight(?s:.)*of shape \[(prompts=3|1)\]",
    ),
    "empty batch": (
        lambda f: {**f, "tokens": f["tokens"][:0], "weight": f["weight"][:0]},
        r"tokens.*\[0, [24], 8\]",
    ),
    "wrong dtype": (lambda f: {**f, "weight": f["weight"].astype(np.float64)}, r"float64"),
}


@every_runtime
@pytest.mark.parametrize(("spoil", "message"), WRONG_FEEDS.values(), ids=WRONG_FEEDS)
def test_a_wrong_feed_gives_one_clear_error(case: Case, spoil, message: str) -> None:
    session = case.open()
    with pytest.raises(BadInput, match=message):
        session.run(spoil(case.feeds()))
    assert session.run(case.feeds()).keys() == set(OUTPUTS)  # and does no harm


@pytest.mark.slow
@pytest.mark.skipif(not TASKS.is_dir(), reason="counts threads in Linux's /proc")
@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_thread_count_is_honoured(name: str, threads: int, tmp_path: Path) -> None:
    """By who does the work: idle threads of a pool do not count, nor do other sessions'.

    While other processes fill the cores, one thread of a pool may take all of the work for a while.
    So the run goes on until the expected threads have worked, or for ten times as long.
    """
    session = _case(name, tmp_path, fixed=(1024, 64)).open(threads=threads)
    feeds = _feeds(1024, 64)
    before, spent, workers = _ticks(), 0, 0
    while spent < 40 or (workers < threads and spent < 400):
        session.run(feeds)
        each = [ticks - before.get(task, 0) for task, ticks in _ticks().items()]
        spent, workers = sum(each), sum(ticks >= 4 for ticks in each)
    assert workers == threads


def _ticks() -> dict[str, int]:
    """CPU time of each thread of this process in user mode, in hundredths of a second."""
    stats = {task.name: (task / "stat").read_text() for task in TASKS.iterdir()}
    return {name: int(stat.rpartition(")")[2].split()[11]) for name, stat in stats.items()}


REFUSED = {"onnxruntime": {"session.load_model_format": "ORT"}, "openvino": {"NO_SUCH": "1"}}


@pytest.mark.parametrize("case", REFUSED, indirect=True)  # LiteRT's and the evaluator have none
def test_the_targets_options_reach_the_runtime(case: Case) -> None:
    """Shown by options that cannot be: another file format, an unknown property."""
    artifact = case.artifact
    odd = dataclasses.replace(case.target, options=REFUSED[case.name])
    with pytest.raises(BundleCorrupt, match=artifact.entry):
        runtimes.runtime(case.name).open_artifact(artifact, case.folder, odd, threads=1)


@pytest.mark.parametrize("case", RUNTIMES, indirect=True)
@pytest.mark.parametrize("option", ["", "CACHE_DIR", "session.model_external_initializers_file"])
def test_no_other_option_reaches_a_runtime(case: Case, option: str) -> None:
    artifact = dataclasses.replace(case.artifact, options={option: "/tmp/anywhere"})
    with pytest.raises(BundleCorrupt, match=f"options.{option}: is not an option"):
        open_artifact(artifact, case.folder, case.target, threads=1)


OTHER_TENSORS = {
    "name": ({"name": "other"}, "its {way} are .*{name}"),
    "type": ({"dtype": "float16"}, "{name} is float32 "),
    "another size": ({"shape": (1, 4, 9)}, r"{name} is float32 \["),
    "more axes": ({"shape": (1, 1, 4, 8)}, r"{name} is float32 \["),
    "fewer axes": ({"shape": (4,)}, r"{name} is float32 \["),
}


@every_runtime
@pytest.mark.parametrize("way", ["inputs", "outputs"])
@pytest.mark.parametrize("change", OTHER_TENSORS)
def test_a_file_whose_tensors_are_not_the_manifests(case: Case, way: str, change: str) -> None:
    artifact = case.artifact
    first, *others = getattr(artifact, way)
    fields, what = OTHER_TENSORS[change]
    swapped = dataclasses.replace(
        artifact, **{way: (dataclasses.replace(first, **fields), *others)}
    )
    sentence = r"is not the decoder of the manifest: " + what.format(way=way, name=first.name)
    with pytest.raises(BundleCorrupt, match=sentence):
        open_artifact(swapped, case.folder, case.target, threads=1)


@every_runtime
def test_a_damaged_file_is_a_corrupt_bundle(case: Case) -> None:
    artifact = case.artifact
    (case.folder / artifact.files[0].path).write_bytes(b"not a network")
    with pytest.raises(BundleCorrupt, match=artifact.entry):
        open_artifact(artifact, case.folder, case.target, threads=1)


@every_runtime
def test_a_truncated_file_is_a_corrupt_bundle(case: Case) -> None:
    artifact = case.artifact
    for file in artifact.files:
        whole = (case.folder / file.path).read_bytes()
        (case.folder / file.path).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BundleCorrupt, match=artifact.entry):
            open_artifact(artifact, case.folder, case.target, threads=1)
        (case.folder / file.path).write_bytes(whole)


@every_runtime
def test_a_missing_file_is_a_corrupt_bundle(case: Case) -> None:
    artifact = case.artifact
    for file in artifact.files:
        aside = shutil.move(case.folder / file.path, case.folder / "aside")
        with pytest.raises(BundleCorrupt, match=artifact.entry):
            open_artifact(artifact, case.folder, case.target, threads=1)
        shutil.move(aside, case.folder / file.path)


@installed_runtime
def test_another_version_than_the_targets_is_refused(case: Case) -> None:
    artifact = case.artifact
    future = dataclasses.replace(case.target, runtime_versions=">=9999")
    package = RUNTIMES[case.name].packages[0]
    message = rf"(?s){package} \d.*{package}>=9999"
    with pytest.raises(RuntimeMissing, match=message):
        lowering(future).lower(case.graph, future, case.folder)
    with pytest.raises(RuntimeMissing, match=message):
        open_artifact(artifact, case.folder, future, threads=1)


@installed_runtime
def test_a_missing_package_names_the_extra(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = lowering(case.target)
    monkeypatch.setattr("edgekit.runtimes.installed.find_spec", lambda _: None)
    assert not runtimes.probe(case.name).available
    command = install_command(case.name)
    with pytest.raises(RuntimeMissing, match=re.escape(command)):
        lowering(case.target)
    with pytest.raises(RuntimeMissing, match=re.escape(command)):
        direct.lower(case.graph, case.target, case.folder)
    assert obstacle(case.target) == f"needs {command}"


def test_an_unknown_runtime_says_not_yet() -> None:
    with pytest.raises(NotYet, match="abacus"):
        runtimes.runtime("abacus")


def test_the_table_imports_no_runtime() -> None:
    code = (
        "import sys, edgekit.runtimes as r, edgekit.catalog.runtimes as c;"
        "[r.probe(n) for n in c.RUNTIMES];"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'coremltools'};"
        "print(*sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("case", TAKING_ONNX, indirect=True)
def test_a_graph_that_the_runtime_cannot_read_never_becomes_a_session(
    case: Case, tmp_path: Path
) -> None:
    """OpenVINO finds out when it converts, ONNX Runtime when it loads."""
    model = onnx.parser.parse_model(GRAPH.replace("Softmax <axis = -1>", "com.example.Magic"))
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    onnx.save(model, case.graph.path)
    with pytest.raises((GraphRejected, BundleCorrupt), match="Magic"):
        dataclasses.replace(
            case, artifact=case.lower(tmp_path / "odd"), folder=tmp_path / "odd"
        ).open()


@pytest.mark.parametrize("case", TAKING_PROGRAMS, indirect=True)
def test_a_program_that_cannot_be_converted_is_rejected(case: Case) -> None:
    import torch

    class Magic(torch.nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.geqrf(image)[0]

    program = torch.export.export(Magic(), (torch.zeros(1, 4, 8),), strict=False)
    torch.export.save(program, case.graph.path)
    one = dataclasses.replace(
        case.graph, inputs=case.graph.inputs[:1], outputs=case.graph.outputs[:1]
    )
    with pytest.raises(GraphRejected, match=r"(?s)decoder.*geqrf"):
        lowering(case.target).lower(one, case.target, case.folder)


@pytest.mark.slow
@pytest.mark.parametrize("case", TAKING_PROGRAMS, indirect=True)
def test_a_program_with_another_interface_is_rejected(case: Case) -> None:
    """What was written is compared with what the record promises."""
    wider = dataclasses.replace(case.graph.outputs[0], shape=(1, 4, 5))
    changed = dataclasses.replace(case.graph, outputs=(wider, case.graph.outputs[1]))
    with pytest.raises(GraphRejected, match=r"(?s)scores.*\[1, 4, 4\].*Expected: .*\[1, 4, 5\]"):
        lowering(case.target).lower(changed, case.target, case.folder)


def test_openvino_is_imported_without_its_telemetry(tmp_path: Path) -> None:
    """Importing it the plain way makes ~/intel and sends an event."""
    pytest.importorskip("openvino")
    code = (
        "import sys; from edgekit.runtimes.openvino import silent_openvino;"
        "print(silent_openvino().__name__, 'openvino_telemetry' in sys.modules)"
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
