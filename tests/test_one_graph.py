"""A model of one graph, from weights to verified bundles: in miniature, and FastSAM-s itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgekit import catalog, store
from edgekit.benchmark import bundle_contestant
from edgekit.lowering import obstacle
from edgekit.models import registry
from edgekit.models.families.fastsam import CLIENT
from edgekit.pipeline import ExportRequest, VerifyRequest, export, verify
from edgekit.records import ModelRow, Precision, Role
from edgekit.runtime import Predictor

torch = pytest.importorskip("torch", reason="exporting needs the extra `export`")
pytestmark = pytest.mark.slow

FRAME = 128


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> ModelRow:
    """A small detector in the place of every model. Of few candidates few are kept."""
    from edgekit.models.encoders.yolov8_seg import YoloSize, YoloV8Seg

    def build(_size: str, _shapes: object) -> tuple[torch.nn.Module, None]:
        size = YoloSize(widths=(8, 8, 16, 16, 16), depths=(1, 1, 1, 1), bins=4)
        return YoloV8Seg(size, frame=FRAME).eval(), None

    # Its source counts in cache keys, so it must have one.
    spec = ModuleSpec("tiny_detector", None, origin=__file__)
    module = SimpleNamespace(build=build, __spec__=spec)
    monkeypatch.setitem(sys.modules, "tiny_detector", module)
    client = replace(
        CLIENT,
        preprocessing=replace(CLIENT.preprocessing, frame=FRAME),
        objects=replace(CLIENT.objects, most=20),
    )
    made = replace(
        registry.model("fastsam_s"),
        name="tiny_detector",
        builder="tiny_detector:build",
        client=client,
    )
    monkeypatch.setattr(registry, "model", lambda _: made)
    return made


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one photo of the bundled set, without annotations."""
    folder = tmp_path_factory.mktemp("photos")
    path = catalog.image_set().photos[0].path
    (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def exported(row: ModelRow, tmp_path: Path, photo: Path, report) -> Callable[[str], Path]:
    """`exported(target)`: the folder of a bundle. INT8 need not be faster at this size."""

    def make(target: str) -> Path:
        if missing := obstacle(catalog.target(target)):
            pytest.skip(missing)
        request = ExportRequest(
            model=row.name,
            target=target,
            weights=("seeded",),
            calibration=str(photo),
            out=tmp_path,
            force=True,
            verify=False,
        )
        return export(request, report=report).bundle.path

    return make


@pytest.mark.parametrize("target", ["x86-ort-fp32", "x86-fp32"])
def test_one_graph_goes_all_the_way(
    exported: Callable[[str], Path], photo: Path, report, target: str
) -> None:
    path = exported(target)
    bundle = store.read_bundle(path)
    (artifact,) = bundle.manifest.artifacts
    assert artifact.role is Role.ENCODER
    assert [s.name for s in artifact.outputs] == ["boxes", "scores", "coefficients", "prototypes"]
    verdict = verify(VerifyRequest(bundle=path, photos=photo))
    assert verdict.passed, verdict.failures
    kinds = {summary.kind for summary in verdict.kinds}
    assert kinds == {"point", "point + negative", "box", "everything"}
    assert not bundle_contestant(bundle).decodes


def test_golden_vectors_are_reproduced(exported: Callable[[str], Path]) -> None:
    path = exported("x86-ort-fp32")
    golden = np.load(path / "golden" / "tensors.npz", allow_pickle=False)
    guide = json.loads((path / "golden" / "prompts.json").read_text())
    predictor = Predictor(path)
    predictor.set_image(path / "golden" / "photo.png")
    assert len(predictor.everything()) == len(golden["found.boxes"]) > 0
    for name, prompt in guide["prompts"].items():
        masks = predictor.predict(**prompt).masks
        assert (masks != golden[f"{name}.mask"].astype(bool)).mean() < 1e-3


def test_the_bundles_papers(exported: Callable[[str], Path]) -> None:
    manifest = store.read_bundle(path := exported("x86-ort-fp32")).manifest
    assert manifest.client == registry.model("").client
    readme = (path / "README.md").read_text()
    for said in ("AGPL-3.0", "masks mean nothing", "Without a prompt, the answer is all masks"):
        assert said in readme


def test_float_graphs_compute_nothing_from_weights_alone_at_every_run(
    exported: Callable[[str], Path],
) -> None:
    from tests.benchmarks.bench_bundle import repeated_work

    assert repeated_work(exported("x86-ort-fp32") / "encoder.onnx") == []


def test_int8_is_planned_on_photos_alone(exported: Callable[[str], Path]) -> None:
    """Ranges come from the one graph: nothing is decoded."""
    path = exported("x86-int8")
    bundle = store.read_bundle(path)
    assert bundle.manifest.calibration is not None
    assert bundle.manifest.calibration.prompts == 0
    plan = json.loads((path / "precision.json").read_text())
    (part,) = plan["parts"]
    coded = [node["node"] for node in part["nodes"] if node["precision"] == Precision.INT8]
    assert len(coded) > 20
    predictor = Predictor(path)
    predictor.set_image(path / "golden" / "photo.png")
    assert len(predictor.everything()) > 0


def test_fastsam_itself(tmp_path: Path, photo: Path, report) -> None:
    request = ExportRequest(
        model="fastsam_s", target="x86-ort-fp32", weights=("seeded",), out=tmp_path, verify=False
    )
    path = export(request, report=report).bundle.path
    assert any("AGPL-3.0" in warning for warning in report.warnings)
    verdict = verify(VerifyRequest(bundle=path, photos=photo))
    assert (verdict.passed, verdict.how) == (True, "native"), verdict.failures
    assert verdict.overall.mean_iou >= 0.999
