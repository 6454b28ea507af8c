"""edgekit's additions to litert-torch: transposed convolutions, names, float16 weights."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import GraphRejected, RuntimeMissing
from edgekit.lowering.litert import lower
from edgekit.records import Gate, Precision, Role, SavedProgram, Target, TensorSpec
from edgekit.runtime.opening import open_artifact
from edgekit.store import sha256_of

torch = pytest.importorskip("torch", reason="conversion starts from a torch program")


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's own affair
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("stride", "padding", "output_padding", "groups"),
    [(2, 1, 1, 1), (2, 0, 0, 1), ((2, 3), 1, (0, 2), 1), (2, 1, 1, 2)],
)
def test_output_padding_as_taps_of_zero_is_the_same_function(
    stride, padding, output_padding, groups: int, bias: bool
) -> None:
    from edgekit.lowering.litert.conversion import _DECOMPOSITIONS

    layer = torch.nn.ConvTranspose2d(
        4, 6, 3, stride, padding, output_padding, groups=groups, bias=bias
    )
    image = torch.randn(1, 4, 5, 7)
    program = torch.export.export(layer, (image,), strict=False)
    rewritten = program.run_decompositions(_DECOMPOSITIONS)
    (node,) = (n for n in rewritten.graph.nodes if n.target is torch.ops.aten.convolution.default)
    assert node.args[7] == [0, 0]
    torch.testing.assert_close(rewritten.module()(image), layer(image))


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize(
    ("left", "right", "stacked"),
    [
        ((3, 2, 5, 4), (1, 2, 4, 6), True),
        ((3, 2, 5, 4), (2, 4, 6), True),
        ((1, 2, 5, 4), (1, 2, 4, 6), False),  # one prompt: nothing is repeated
        ((3, 2, 5, 4), (3, 2, 4, 6), False),
        ((3, 5, 4), (4, 6), False),
    ],
)
def test_a_product_with_a_shared_side_stacks_the_rows(left, right, stacked: bool) -> None:
    from edgekit.lowering.litert.conversion import _DECOMPOSITIONS

    class Product(torch.nn.Module):
        def forward(self, a, b):
            return a @ b

    feeds = torch.randn(left), torch.randn(right)
    program = torch.export.export(Product(), feeds, strict=False)
    rewritten = program.run_decompositions(_DECOMPOSITIONS)
    targets = {str(node.target) for node in rewritten.graph.nodes}
    assert ("aten.bmm.default" in targets and "aten.expand.default" not in targets) is stacked
    torch.testing.assert_close(rewritten.module()(*feeds), feeds[0] @ feeds[1])


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize(("terms", "blocks"), [(2**16, True), (2**12, False)])
def test_a_product_of_long_rows_is_a_sum_of_products(terms: int, blocks: bool) -> None:
    from edgekit.lowering.litert.conversion import _DECOMPOSITIONS

    class Product(torch.nn.Module):
        def forward(self, a, b):
            return a @ b.transpose(1, 2)

    feeds = torch.rand(1, 3, terms), torch.randn(1, 5, terms)
    program = torch.export.export(Product(), feeds, strict=False)
    rewritten = program.run_decompositions(_DECOMPOSITIONS)
    targets = {str(node.target) for node in rewritten.graph.nodes}
    assert ("aten.sum.dim_IntList" in targets) is blocks
    torch.testing.assert_close(rewritten.module()(*feeds), Product()(*feeds), atol=0.01, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_samples_at_computed_places_are_gathered_rows() -> None:
    from edgekit.lowering.litert.conversion import _DECOMPOSITIONS

    class Samples(torch.nn.Module):
        def forward(self, x, places):
            return torch.nn.functional.grid_sample(x, places, align_corners=False)

    feeds = torch.randn(2, 3, 5, 7), torch.rand(2, 4, 6, 2) * 4 - 2  # some far outside
    program = torch.export.export(Samples(), feeds, strict=False)
    rewritten = program.run_decompositions(_DECOMPOSITIONS)
    targets = {str(node.target) for node in rewritten.graph.nodes}
    assert not [target for target in targets if "grid_sampler" in target]
    expected = Samples()(*feeds)
    torch.testing.assert_close(rewritten.module()(*feeds), expected, atol=1e-5, rtol=1e-5)


def test_a_missing_converter_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device has the runtime without the converter; an export names the extra to install."""
    from importlib.metadata import PackageNotFoundError

    from edgekit.lowering.litert import file as lowering

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(lowering, "require_runtime", lambda *_: "2.3.0")
    monkeypatch.setattr(lowering, "version", absent)
    target = _target(Precision.FP32)
    with pytest.raises(RuntimeMissing, match=r"pip install 'edgekit\[litert-export\]'"):
        lowering.lower(_graph(Path("none.pt2"), "0" * 64), target, Path())


def test_weights_beyond_a_flatbuffer_are_refused_before_converting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ViT-H in float32, as a sparse file of that size."""
    from edgekit.lowering.litert import file as lowering

    monkeypatch.setattr(lowering, "require_runtime", lambda *_: "2.3.0")
    monkeypatch.setattr(lowering, "version", lambda _: "0.10.0")
    path = tmp_path / "encoder.pt2"
    with path.open("wb") as file:
        file.truncate(2_550_000_000)
    with pytest.raises(GraphRejected, match=r"2\.5 GB of float32 weights.*\n.*2\.1 GB"):
        lowering.lower(_graph(path, "0" * 64), _target(Precision.FP32), tmp_path)


@pytest.mark.slow
def test_float16_weights_halve_the_file_and_keep_the_function(tmp_path: Path) -> None:
    pytest.importorskip("litert_torch", reason="the converter is the extra `litert-export`")
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(8, 64, 3, padding=1), torch.nn.ConvTranspose2d(64, 8, 3, 2, 1, 1)
    )
    path = tmp_path / "some.pt2"
    image, recursion_limit = torch.randn(1, 8, 6, 6), sys.getrecursionlimit()
    torch.export.save(torch.export.export(_Encoder(module).eval(), (image,), strict=False), path)
    graph = _graph(path, sha256_of(path))
    sizes, results = [], []
    for precision in (Precision.FP32, Precision.FP16):
        folder, target = tmp_path / precision, _target(precision)
        folder.mkdir()
        artifact = lower(graph, target, folder)
        session = open_artifact(artifact, folder, target, threads=1)
        sizes.append(artifact.files[0].bytes)
        results.append(session.run({"image": image.numpy()})["image_embeddings"])
        # The two weights; biases stay float32.
        assert artifact.ops.get("DEQUANTIZE", 0) == (0 if precision is Precision.FP32 else 2)
        assert artifact.ops["TRANSPOSE_CONV"] == 1
    assert sys.getrecursionlimit() == recursion_limit  # which the converter raises for good
    assert sizes[1] < 0.6 * sizes[0]
    expected = module(image).detach().numpy()
    np.testing.assert_allclose(results[0], expected, atol=1e-5)
    error = np.abs(results[1] - expected).max()
    assert 1e-6 < error < 1e-3 * np.abs(expected).max()


class _Gram(torch.nn.Module):
    """A product of two computed tensors, and one with a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Linear(8, 8, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = image.flatten(2)
        return self.weight(rows @ rows.transpose(1, 2))


@pytest.mark.slow
def test_a_computed_weight_is_left_to_xnnpack(tmp_path: Path) -> None:
    pytest.importorskip("litert_torch", reason="the converter is the extra `litert-export`")
    path, module, image = tmp_path / "some.pt2", _Gram().eval(), torch.randn(1, 8, 6, 6)
    torch.export.save(torch.export.export(module, (image,), strict=False), path)
    graph, target = _graph(path, sha256_of(path)), _target(Precision.FP32)
    graph = replace(graph, outputs=(replace(graph.outputs[0], shape=(1, 8, 8)),))
    artifact = lower(graph, target, tmp_path)
    assert artifact.ops["FULLY_CONNECTED"] == artifact.ops["BATCH_MATMUL"] == 1
    session = open_artifact(artifact, tmp_path, target, threads=1)
    result = session.run({"image": image.numpy()})["image_embeddings"]
    np.testing.assert_allclose(result, module(image).detach().numpy(), rtol=1e-4, atol=1e-4)


class _Resize(torch.nn.Module):
    """Both axes use the same matrix, which the converter stores once."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.rand(12, 6))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.matrix @ torch.nn.functional.linear(image, self.matrix)


@pytest.mark.slow
def test_a_weight_that_another_operator_reads_becomes_float16_too(tmp_path: Path) -> None:
    pytest.importorskip("litert_torch", reason="the converter is the extra `litert-export`")
    path, module, image = tmp_path / "some.pt2", _Resize(), torch.randn(1, 8, 6, 6)
    torch.export.save(torch.export.export(module, (image,), strict=False), path)
    graph, target = _graph(path, sha256_of(path)), _target(Precision.FP16)
    artifact = lower(graph, target, tmp_path)
    assert artifact.ops["FULLY_CONNECTED"] == artifact.ops["DEQUANTIZE"] == 1
    session = open_artifact(artifact, tmp_path, target, threads=1)
    result = session.run({"image": image.numpy()})["image_embeddings"]
    np.testing.assert_allclose(result, module(image).numpy(), rtol=5e-3, atol=5e-3)


class _Encoder(torch.nn.Module):
    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.module(image)


def _graph(path: Path, sha256: str) -> SavedProgram:
    return SavedProgram(
        role=Role.ENCODER,
        path=path,
        sha256=sha256,
        inputs=(TensorSpec(name="image", dtype="float32", shape=(1, 8, 6, 6)),),
        outputs=(TensorSpec(name="image_embeddings", dtype="float32", shape=(1, 8, 12, 12)),),
        ops={},
    )


def _target(precision: Precision) -> Target:
    return Target(
        name="bench",
        device="a test",
        runtime="litert",
        runtime_versions=">=1",
        precision=precision,
        opset=20,
        memory_mb=1024,
        gate=Gate(mean_iou=0.999, min_iou=0.99),
    )
