"""The standalone builder against the bindings of TensorRT 8, 10 and 11: a wrong call fails."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgekit import catalog
from edgekit.errors import GraphRejected
from edgekit.lowering.tensorrt import lower
from edgekit.records import EngineRecord, OnnxGraph, Role, TensorSpec
from edgekit.runtimes.tensorrt import build_engine, installation
from edgekit.runtimes.tensorrt.build_engine import Failed, Settings, build, gpu
from edgekit.runtimes.tensorrt.installation import Installation
from edgekit.store import digest_file, sha256_of

SHAPES = {"x": ((1, 2), (4, 2), (16, 2))}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        str(tmp_path / "decoder.onnx"),
        str(tmp_path / "decoder.engine"),
        512,
        shapes=SHAPES,
        timing_cache=str(tmp_path / "timing.cache"),
        fp32_nodes=("norm",),
    )


class Builder:
    """Fakes of everything that a build touches, in one version."""

    def __init__(self, bindings: Any, *, parses: bool = True, serialized: Any = b"plan") -> None:
        fake = bindings.fake
        data_type = bindings.enums["DataType"]

        def layer(name: str, dtype: int) -> Any:
            output = fake("ITensor", dtype=dtype)
            return fake("ILayer", name=name, num_outputs=1, get_output=lambda _: output)

        self.layers = [
            layer("norm", data_type.FLOAT),
            layer("norm_3", data_type.FLOAT),
            layer("normal", data_type.FLOAT),
            layer("norm_axes", data_type.INT32),
            layer("conv", data_type.HALF),
        ]
        self.cache = fake("ITimingCache", serialize=b"learned")
        self.config = fake(
            "IBuilderConfig",
            create_timing_cache=self.cache,
            set_timing_cache=True,
            add_optimization_profile=0,
        )
        self.profile = fake("IOptimizationProfile")
        self.network = fake(
            "INetworkDefinition", num_layers=len(self.layers), get_layer=self.layers.__getitem__
        )
        self.builder = fake(
            "Builder",
            create_network=self.network,
            create_builder_config=self.config,
            create_optimization_profile=self.profile,
            build_serialized_network=serialized,
        )
        error = fake("ParserError", desc="Assertion failed: no Det")
        parser = fake("OnnxParser", parse_from_file=parses, num_errors=1, get_error=error)
        self.module = bindings.module(
            Logger=fake("Logger"), Builder=self.builder, OnnxParser=parser
        )


@pytest.mark.parametrize("major", ["10", "11"])
def test_a_strongly_typed_build(
    bindings_of: Callable[..., Any], settings: Settings, major: str
) -> None:
    bindings = bindings_of(major)
    fakes = Builder(bindings)
    build(fakes.module, settings)
    typed = bindings.enums["NetworkDefinitionCreationFlag"].STRONGLY_TYPED
    workspace = bindings.enums["MemoryPoolType"].WORKSPACE
    assert fakes.builder.calls[0] == ("create_network", 1 << typed)
    assert fakes.profile.calls == [("set_shape", "x", (1, 2), (4, 2), (16, 2))]
    assert fakes.config.calls == [
        ("set_memory_pool_limit", workspace, 512 * 2**20),
        ("add_optimization_profile", fakes.profile),
        ("create_timing_cache", b""),
        ("set_timing_cache", fakes.cache, False),
    ]
    assert not any(layer.calls for layer in fakes.layers)
    assert Path(settings.engine).read_bytes() == b"plan"
    assert Path(settings.timing_cache).read_bytes() == b"learned"


@pytest.mark.slow
def test_8_2_is_told_what_the_types_say(
    bindings_of: Callable[..., Any], settings: Settings
) -> None:
    bindings = bindings_of("8", version="8.2.1.8")
    fakes = Builder(bindings)
    build(fakes.module, settings)
    batch = bindings.enums["NetworkDefinitionCreationFlag"].EXPLICIT_BATCH
    flags, data_type = bindings.enums["BuilderFlag"], bindings.enums["DataType"]
    assert fakes.builder.calls[0] == ("create_network", 1 << batch)
    assert fakes.config.calls[:3] == [
        ("max_workspace_size", 512 * 2**20),
        ("set_flag", flags.FP16),
        ("set_flag", flags.OBEY_PRECISION_CONSTRAINTS),
    ]
    in_fp32 = [("set_output_type", 0, data_type.FLOAT), ("precision", data_type.FLOAT)]
    changed = [[call for call in layer.calls if call[0] != "get_output"] for layer in fakes.layers]
    assert changed == [in_fp32, in_fp32, [], [], []]


def test_8_6_has_memory_pools(bindings_of: Callable[..., Any], settings: Settings) -> None:
    fakes = Builder(bindings_of("8"))
    build(fakes.module, settings)
    assert fakes.config.calls[0][0] == "set_memory_pool_limit"


def test_11_has_none_of_what_8_is_told(bindings_of: Callable[..., Any], settings: Settings) -> None:
    """So the branch for 8 must not be reached, and this specification would notice if it were."""
    pretender = Builder(bindings_of("11", version="8.6.0"))
    with pytest.raises(AttributeError):
        build(pretender.module, settings)


def test_a_known_timing_cache_is_used_and_a_foreign_one_dropped(
    bindings_of: Callable[..., Any], settings: Settings
) -> None:
    Path(settings.timing_cache).write_bytes(b"of another GPU")
    fakes = Builder(bindings_of("10"))
    vars(fakes.config)["_does"]["set_timing_cache"] = False
    build(fakes.module, settings)
    made = [call[1] for call in fakes.config.calls if call[0] == "create_timing_cache"]
    assert made == [b"of another GPU", b""]


def test_what_the_parser_says_is_passed_on(
    bindings_of: Callable[..., Any], settings: Settings
) -> None:
    fakes = Builder(bindings_of("10"), parses=False)
    with pytest.raises(Failed, match="does not parse:\nAssertion failed: no Det"):
        build(fakes.module, settings)


def test_a_build_that_fails_leaves_nothing(
    bindings_of: Callable[..., Any], settings: Settings
) -> None:
    fakes = Builder(bindings_of("10"), serialized=None)
    with pytest.raises(Failed, match="does not build"):
        build(fakes.module, settings)
    assert list(Path(settings.engine).parent.iterdir()) == []


def test_shapes_that_tensorrt_does_not_accept(
    bindings_of: Callable[..., Any], settings: Settings
) -> None:
    fakes = Builder(bindings_of("10"))
    vars(fakes.config)["_does"]["add_optimization_profile"] = -1
    with pytest.raises(Failed, match="does not accept the shapes"):
        build(fakes.module, settings)


def test_the_file_keeps_to_python_3_6_and_the_standard_library() -> None:
    source = Path(build_engine.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    nodes = list(ast.walk(tree))
    imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    allowed = {"argparse", "ctypes", "hashlib", "json", "os", "re", "sys", "typing", "tensorrt"}
    assert imported <= allowed
    # Evaluated on definition: 3.6 cannot subscript `dict` or `tuple`.
    for function in (node for node in nodes if isinstance(node, ast.FunctionDef)):
        arguments = (*function.args.args, *function.args.kwonlyargs)
        annotations = [function.returns, *(argument.annotation for argument in arguments)]
        assert not any(isinstance(a, ast.Subscript | ast.BinOp) for a in annotations)


def test_facts_of_the_gpu(driver_library: Path) -> None:
    assert gpu(str(driver_library)) == {
        "gpu": "Orin",
        "compute_capability": "8.7",
        "driver": "CUDA 12.6",
    }
    with pytest.raises(Failed, match="no NVIDIA driver"):
        gpu(str(driver_library.with_name("libnothing.so")))


@pytest.fixture
def graph(tmp_path: Path) -> OnnxGraph:
    """A typed decoder of one input with dynamic dimensions."""
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float[prompts, points] x) => (float[prompts, points] y) { y = Relu (x) }""")
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)
    x = TensorSpec(name="x", dtype="float32", shape=("prompts", "points"))
    return OnnxGraph(
        opset=20,
        role=Role.DECODER,
        path=path,
        sha256=sha256_of(path),
        inputs=(x,),
        outputs=(),
        ops={},
    )


def _here(monkeypatch: pytest.MonkeyPatch, fakes: Builder) -> None:
    facts = {"gpu": "Orin", "compute_capability": "8.7", "driver": "CUDA 12.6"}
    here = Installation(trt=fakes.module, gpu=facts)
    monkeypatch.setattr(installation, "find_installation", lambda: here)


def test_an_export_where_tensorrt_is_builds_the_engine_and_says_where(
    bindings_of: Callable[..., Any],
    graph: OnnxGraph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fakes = Builder(bindings_of("10"))
    _here(monkeypatch, fakes)
    artifact = lower(graph, catalog.target("jetson-fp16"), tmp_path)
    assert artifact.engine == EngineRecord(
        file=digest_file(tmp_path / "decoder.engine", tmp_path),
        source_sha256=graph.sha256,
        tensorrt="10.3.0",
        gpu="Orin",
        compute_capability="8.7",
        driver="CUDA 12.6",
    )
    assert [file.path for file in artifact.contents] == ["decoder.onnx", "decoder.engine"]
    assert fakes.profile.calls == [("set_shape", "x", (1, 1), (1, 2), (16, 16))]


def test_an_export_for_another_version_builds_nothing(
    bindings_of: Callable[..., Any],
    graph: OnnxGraph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fakes = Builder(bindings_of("10"))
    _here(monkeypatch, fakes)
    artifact = lower(graph, catalog.target("jetson-nano-fp16"), tmp_path)
    assert artifact.engine is None
    assert fakes.builder.calls == []


def test_a_graph_that_tensorrt_does_not_take_fails_the_export_in_its_words(
    bindings_of: Callable[..., Any],
    graph: OnnxGraph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _here(monkeypatch, Builder(bindings_of("10"), parses=False))
    with pytest.raises(GraphRejected, match=r"(?s)TensorRT 10\.3\.0 .*decoder.*no Det"):
        lower(graph, catalog.target("jetson-fp16"), tmp_path)
