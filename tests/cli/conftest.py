"""The command line over a small bundle whose graphs are stand-ins."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from edgekit import catalog, pipeline, store
from edgekit.cli import app
from edgekit.cli.exits import BUG
from edgekit.models import registry
from edgekit.pack import make_manifest
from edgekit.records import (
    NATIVE,
    Artifact,
    Bundle,
    Execution,
    Gate,
    ModelRow,
    Role,
    TensorSpec,
    WeightsSource,
)
from edgekit.runtime import opening
from edgekit.verification import PromptKind, PromptResult, Trial, Verdict, judge

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """`run("predict", bundle, ...)`: exit code, stdout and stderr. A traceback fails the test."""

    def invoke(*arguments: object, env: dict[str, str] | None = None) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)
        if result.exception and not isinstance(result.exception, SystemExit):
            traceback.print_exception(result.exception)
            pytest.fail(f"the user would see a traceback: {result.exception!r}")
        if result.exit_code == BUG:
            pytest.fail(f"the user would see a bug: {result.stderr}")
        return result

    return invoke


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A grey photo of 160 x 120 pixels."""
    path = tmp_path / "photo.png"
    Image.new("RGB", (160, 120), (90, 90, 90)).save(path)
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A sound bundle of nanosam for x86-fp32 whose graphs are a few bytes."""
    return _bundle(tmp_path, "nanosam", tuple(Role))


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    """As `bundle`, for a model that finds all objects with one graph."""
    return _bundle(tmp_path, "fastsam_s", (Role.ENCODER,))


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """As `bundle`, for a model into whose image prompts are drawn."""
    return _bundle(tmp_path, "squeezesam", (Role.ENCODER,))


@pytest.fixture
def volume_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As `bundle`, for a model of volumes whose mask is where the volume's first axis is small."""

    class Encode:
        def run(self, _):
            return {"image_embeddings": np.zeros((1, 384, 8, 8, 8), np.float32)}

    class FirstQuarter:
        def run(self, _):
            logits = np.where(np.arange(32) < 8, 5, -5).astype(np.float32)
            masks = np.broadcast_to(logits[:, None, None], (1, 4, 32, 32, 32))
            return {
                "low_res_masks": masks,
                "iou_predictions": np.full((1, 4), 0.75, np.float32),
            }

    def opened(artifact, *_, **__):
        return FirstQuarter() if artifact.role is Role.DECODER else Encode()

    monkeypatch.setattr(opening, "open_artifact", opened)
    return _bundle(tmp_path, "fastsam3d", tuple(Role))


def _bundle(tmp_path: Path, model: str, roles: tuple[Role, ...]) -> Path:
    folder = tmp_path / "dist" / f"{model}-x86-fp32"
    folder.mkdir(parents=True)
    row = registry.model(model)
    manifest = make_manifest(
        row,
        catalog.target("x86-fp32"),
        WeightsSource(kind="seeded", licence="none", seed=0, warning="random weights"),
        artifacts=tuple(_artifact(folder, role, row) for role in roles),
        golden=(),
    )
    store.write_manifest(folder, manifest)
    return folder


@pytest.fixture
def left_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder answers every prompt with the photo's left half."""

    def opened(artifact, *_, **__):
        return Half() if artifact.role is Role.DECODER else Blind()

    monkeypatch.setattr(opening, "open_artifact", opened)


@pytest.fixture
def two_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector's graph that finds the photo's left half and, with a lower score, the right."""

    class Halves:
        def run(self, _):
            boxes = [[256, 768], [512, 512], [512, 512], [768, 768]]
            return {
                "boxes": np.array([boxes], np.float32),
                "scores": np.array([[[0.9, 0.8]]], np.float32),
                "coefficients": np.ones((1, 32, 2), np.float32),
                "prototypes": np.ones((1, 32, 256, 256), np.float32),
            }

    monkeypatch.setattr(opening, "open_artifact", lambda *_, **__: Halves())


@pytest.fixture
def verdict() -> Callable[..., Verdict]:
    """`verdict(iou, ...)`: the verdict on prompts with these IoUs."""

    def make(*ious: float, execution: Execution = NATIVE) -> Verdict:
        gate = Gate(mean_iou=0.999, min_iou=0.99)
        return judge([_result(iou) for iou in ious], gate=gate, photos=1, execution=execution)

    return make


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch, bundle: Path):
    """Replace the pipeline's export: `exports(target=verdict_or_error)` sets each outcome.

    Returns the list of requests that export receives.
    """

    def answer(**by_target: Verdict | Exception | None) -> list[pipeline.ExportRequest]:
        requests = []

        def export(request, *, report):
            requests.append(request)
            with report.stage("weights"):
                report.warning("the stand-in was taken")
            with report.stage("verify"):
                report.progress(1, 2)
                report.progress(2, None)
            outcome = by_target[request.target.replace("-", "_")]
            if isinstance(outcome, BaseException):
                raise outcome
            manifest = store.read_bundle(bundle).manifest
            return pipeline.Exported(
                bundle=Bundle(path=request.out / f"nanosam-{request.target}", manifest=manifest),
                verdict=outcome,
            )

        monkeypatch.setattr(pipeline, "export", export)
        return requests

    return answer


class Blind:
    def run(self, _):
        return {"image_embeddings": np.zeros((1, 256, 64, 64), np.float32)}


class Half:
    def run(self, feeds):
        batch = len(feeds["point_coords"])
        logits = np.where(np.arange(256) < 128, 5, -5).astype(np.float32)
        scores = np.float32([[0.9, 0.8, 0.7, 0.6]])
        return {
            "low_res_masks": np.broadcast_to(logits, (batch, 4, 256, 256)),
            "iou_predictions": np.broadcast_to(scores, (batch, 4)),
        }


def _artifact(folder: Path, role: Role, row: ModelRow) -> Artifact:
    file = folder / f"{role}.xml"
    file.write_text(f"the {role}")
    frame = row.client.preprocessing.frame
    image = (1, row.client.image_channels, *[frame] * row.graph.axes)
    return Artifact(
        role=role,
        format="openvino-ir",
        entry=file.name,
        files=(store.digest_file(file, folder),),
        inputs=(TensorSpec(name="image", dtype="float32", shape=image),),
        outputs=(TensorSpec(name="masks", dtype="float32", shape=("prompts", 4)),),
        ops={f"Op{index:02}": 20 - index for index in range(12)},
    )


def _result(iou: float) -> PromptResult:
    trial = Trial(kind=PromptKind.POINT, subject=0, points=((12.0, 34.0),), labels=(1,))
    return replace(EQUAL, trial=trial, iou=iou)


EQUAL = PromptResult(
    photo="desk.jpg",
    trial=Trial(kind=PromptKind.POINT, subject=0),
    iou=1.0,
    finite=True,
    logit_cosine=1.0,
    logit_error=0.0,
    chosen=0,
    flipped=None,
    reference_truth=0.8,
    candidate_truth=0.8,
)
