"""The session that opens a package, and the packages and feeds that it rejects."""

from __future__ import annotations

import platform
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit.errors import BadInput, BundleCorrupt, NotYet
from edgekit.lowering import coreml
from edgekit.records import Artifact, Role, TensorSpec
from edgekit.runtime.opening import execution, open_artifact
from edgekit.runtimes.coreml import CoreMlSession


def test_off_macos_a_session_is_emulated(target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    how = execution(target)
    assert how.label.startswith("emulated by edgekit's MIL evaluator (torch ")
    assert how.reason is not None
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert execution(target).label == "native"


@pytest.mark.slow
def test_an_operator_that_cannot_be_evaluated_is_named(graph_of, fp32, tmp_path) -> None:
    artifact = coreml.lower(graph_of(torch.atan, (1, 3)), fp32, tmp_path)
    with pytest.raises(NotYet, match=r"(?s)decoder.mlpackage.*atan.*Next: .*macOS"):
        open_artifact(artifact, tmp_path, fp32, threads=1)


@pytest.mark.slow
def test_the_number_of_threads_is_torchs_own_again(graph_of, fp32, tmp_path) -> None:
    artifact = coreml.lower(graph_of(torch.relu, (1, 3)), fp32, tmp_path)
    before = torch.get_num_threads()
    session = open_artifact(artifact, tmp_path, fp32, threads=before + 1)
    session.run({"x": np.zeros((1, 3), np.float32)})
    assert torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "y"}, "its inputs are x"),
        ({"dtype": "float16"}, r"x is float32 \[1, 3\]"),
        ({"shape": (1, 4)}, r"x is float32 \[1, 3\]"),
    ],
)
def test_on_macos_the_packages_tensors_are_compared_with_the_manifests(
    graph_of, fp32, tmp_path, monkeypatch: pytest.MonkeyPatch, change, message
) -> None:
    """Core ML's libraries are not here, but a package's specification is read without them."""
    artifact = coreml.lower(graph_of(torch.relu, (1, 3)), fp32, tmp_path)
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert open_artifact(artifact, tmp_path, fp32, threads=1)
    other = replace(artifact, inputs=(replace(artifact.inputs[0], **change),))
    with pytest.raises(BundleCorrupt, match=f"not the decoder of the manifest: {message}"):
        open_artifact(other, tmp_path, fp32, threads=1)


X = TensorSpec(name="x", dtype="float32", shape=(1, 3))
DOUBLE = Artifact(
    role=Role.DECODER,
    format="mlpackage",
    entry="decoder.mlpackage",
    files=(),
    inputs=(X,),
    outputs=(replace(X, name="a"),),
    ops={},
)


class FakeModel:
    """Stands for coremltools' MLModel: NumPy arrays by name."""

    def get_spec(self) -> None:
        pass

    def predict(self, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"a": data["x"].astype(np.float16) * 2}


def test_core_mls_session_checks_feeds_and_returns_float32() -> None:
    session = CoreMlSession(FakeModel(), DOUBLE)
    got = session.run({"x": np.ones((1, 3), np.float32)})["a"]
    assert (got.dtype, got.tolist()) == (np.float32, [[2, 2, 2]])
    with pytest.raises(BadInput, match="x is float32"):
        session.run({"x": np.ones((1, 4), np.float32)})
