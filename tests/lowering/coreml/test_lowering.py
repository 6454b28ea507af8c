"""The package that is written: planned precision, names, descriptions; rejected programs."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.emulation.mil.package import read_package
from edgekit.errors import GraphRejected
from edgekit.lowering import coreml
from edgekit.lowering.coreml.description import PHOTO, TENSORS
from edgekit.models import registry
from edgekit.models.encoders.hiera import max_pool_2x2
from edgekit.models.sam.hq_decoder import weighted_convolution
from edgekit.models.sam.photo_side import PHOTO_MAPS
from edgekit.records import NodePlan, PartPlan, Precision, Role, SavedProgram, Target
from edgekit.runtime.opening import open_artifact


def angles(x: Tensor) -> Tensor:
    """From coordinates in pixels to the sine of a large angle, the part of SAM that FP16 breaks."""
    turned = ((x + 0.5) * 0.37).unsqueeze(0).transpose(1, 2)
    return torch.relu(torch.sin(turned)) * 3


def _planned(*fp32: str) -> PartPlan:
    nodes = ("add", "mul", "sin", "relu", "mul_1")
    return PartPlan(
        role=Role.DECODER,
        nodes=tuple(
            NodePlan(
                node=name,
                operator=name,
                block="",
                macs=0,
                precision=Precision.FP32 if name in fp32 else Precision.FP16,
            )
            for name in nodes
        ),
    )


def _types(graph: SavedProgram, target: Target, folder: Path) -> dict[str, str]:
    """From operator to the type of its last result."""
    artifact = coreml.lower(graph, target, folder)
    steps = read_package(folder / artifact.entry).steps
    return {step.operator: step.outputs[0].dtype for step in steps}


@pytest.mark.slow
def test_fp16_without_a_plan_is_fp16_throughout(graph_of, target, tmp_path) -> None:
    types = _types(graph_of(angles, (3, 2)), target, tmp_path)
    assert {types[name] for name in ("add", "sin", "relu", "transpose")} == {"fp16"}
    assert types["cast"] == "fp32"  # the result is float32 whatever computed it


@pytest.mark.slow
def test_planned_nodes_stay_fp32_and_so_does_what_lies_between(graph_of, target, tmp_path) -> None:
    graph = replace(graph_of(angles, (3, 2)), plan=_planned("add", "mul", "sin"))
    types = _types(graph, target, tmp_path)
    fp32 = {"add", "transpose", "expand_dims", "sin"}
    assert {name: types[name] for name in fp32} == dict.fromkeys(fp32, "fp32")
    assert types["relu"] == "fp16"
    assert types["mul"] == "fp16"  # the second one


@pytest.mark.slow
def test_a_plan_decides_what_comes_out(graph_of, target, tmp_path) -> None:
    """FP16 cannot represent 1000.3 pixels, and 370 radians even less."""
    feeds = {"x": np.array([[1000.3, 517.7], [999.9, 3.2], [801.1, 640.5]], np.float32)}
    graph = graph_of(angles, (3, 2))
    exact = angles(torch.from_numpy(feeds["x"])).numpy()
    errors = {}
    for name, plan in {"planned": _planned("add", "mul", "sin"), "plain": None}.items():
        folder = tmp_path / name
        folder.mkdir()
        artifact = coreml.lower(replace(graph, plan=plan), target, folder)
        session = open_artifact(artifact, folder, target, threads=1)
        errors[name] = np.abs(session.run(feeds)["a"] - exact).max()
    assert errors["planned"] < 2e-3
    assert errors["plain"] > 0.05


@pytest.mark.slow
def test_fp32_ignores_fp16(graph_of, fp32, tmp_path) -> None:
    types = _types(graph_of(angles, (3, 2)), fp32, tmp_path)
    assert set(types.values()) == {"fp32"}


@pytest.mark.slow
def test_a_package_describes_itself(graph_of, fp32, tmp_path, monkeypatch) -> None:
    from coremltools.proto.Model_pb2 import Model

    graph = graph_of(torch.relu, (1, 5, 2))
    named = replace(graph, title="Some SAM", licence="Apache-2.0")
    monkeypatch.setitem(TENSORS, "x", "in pixels")
    artifact = coreml.lower(named, fp32, tmp_path)
    file = tmp_path / artifact.entry / "Data/com.apple.CoreML/model.mlmodel"
    about = Model.FromString(file.read_bytes()).description
    assert "Some SAM" in about.metadata.author
    assert about.metadata.license == "Apache-2.0"
    assert "once per prompt" in about.metadata.shortDescription
    assert about.input[0].shortDescription == "in pixels"
    assert about.output[0].shortDescription == ""


@pytest.mark.slow
def test_nothing_of_a_package_is_not_core_mls(graph_of, fp32, tmp_path) -> None:
    artifact = coreml.lower(graph_of(nn.Linear(40, 40), (1, 40)), fp32, tmp_path)
    package = "decoder.mlpackage"
    assert artifact.entry == package
    assert [file.path for file in artifact.files] == [
        f"{package}/Data/com.apple.CoreML/model.mlmodel",
        f"{package}/Data/com.apple.CoreML/weights/weight.bin",
        f"{package}/Manifest.json",
    ]


class FineMask(nn.Module):
    """SAM-HQ's last convolution and its mask, of a map [B, H, W, C]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 6, 3)
        self.weights = nn.Parameter(torch.rand(1, 1, 6))

    def forward(self, x: Tensor) -> Tensor:
        return weighted_convolution(self.conv, x.permute(0, 3, 1, 2), self.weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", [max_pool_2x2, FineMask()], ids=["Hiera's pooling", "SAM-HQ's mask"]
)
def test_pieces_that_coremltools_is_particular_about(graph_of, fp32, tmp_path, piece) -> None:
    x = np.random.default_rng(0).standard_normal((1, 6, 6, 8)).astype(np.float32)
    artifact = coreml.lower(graph_of(piece, x.shape), fp32, tmp_path)
    with torch.no_grad():
        expected = piece(torch.from_numpy(x)).numpy()
    found = open_artifact(artifact, tmp_path, fp32, threads=1).run({"x": x})["a"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


# coremltools leaves its temporary folder to the garbage collector where it fails.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (torch.special.i1, "i1"),
        (lambda x: torch.sin(x.reshape(1, 2, 2, 2, 2, 3)).sum(), "rank <= 5"),
    ],
)
def test_what_core_ml_cannot_run_is_refused(graph_of, fp32, tmp_path, function, message) -> None:
    graph = graph_of(function, (1, 4, 4, 3))
    with pytest.raises(GraphRejected, match=rf"coremltools 9.*decoder.*{message}"):
        coreml.lower(graph, fp32, tmp_path)
    gc.collect()


def test_every_tensor_of_the_graph_contract_is_described() -> None:
    inside = {"high_res_features_0", "high_res_features_1"}  # of the encoder's graph
    for row in registry.models():
        names = {
            name for role in Role for name in (*row.graph.inputs(role), *row.graph.outputs(role))
        }
        assert names - inside <= TENSORS.keys(), row.name
    assert all(name.startswith(PHOTO) for name in PHOTO_MAPS)


@pytest.mark.slow
def test_nothing_is_printed(graph_of, tmp_path) -> None:
    """coremltools warns of torch's version on import and shows progress bars."""
    graph = graph_of(torch.relu, (1, 3))
    code = (
        "from pathlib import Path; from dataclasses import replace\n"
        "from edgekit.lowering import coreml; from edgekit.catalog import target\n"
        "from edgekit.runtime.opening import open_artifact\n"
        "from edgekit.records import SavedProgram, Role, TensorSpec\n"
        "specs = [TensorSpec(name=n, dtype='float32', shape=(1, 3)) for n in 'xa']\n"
        f"graph = SavedProgram(role=Role.DECODER, path=Path({str(graph.path)!r}),\n"
        "    sha256='', inputs=(specs[0],), outputs=(specs[1],), ops={})\n"
        "profile = target('iphone-fp16')\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "open_artifact(coreml.lower(graph, profile, folder), folder, profile, threads=1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
