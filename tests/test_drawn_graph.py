"""A model into whose image prompts are drawn, from weights to a verified bundle, in miniature."""

from __future__ import annotations

import json
import sys
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
from edgekit.models.families.squeezesam import CLIENT
from edgekit.pipeline import ExportRequest, VerifyRequest, export, verify
from edgekit.records import ModelRow, Role
from edgekit.runtime import Predictor

torch = pytest.importorskip("torch", reason="exporting needs the extra `export`")

FRAME = 64
TINY = replace(
    CLIENT,
    preprocessing=replace(CLIENT.preprocessing, frame=FRAME),
    masks=replace(CLIENT.masks, side=FRAME // 2),
)


def network() -> torch.nn.Module:
    from edgekit.models.encoders.squeeze_sam import SqueezeSam, SqueezeSamSize

    return SqueezeSam(SqueezeSamSize(patch=8, widths=(8, 8, 16))).eval()


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> ModelRow:
    """A small network in the place of every model."""
    # Its source counts in cache keys, so it must have one.
    spec = ModuleSpec("tiny_squeezesam", None, origin=__file__)
    module = SimpleNamespace(build=lambda: (network(), None), __spec__=spec)
    monkeypatch.setitem(sys.modules, "tiny_squeezesam", module)
    made = replace(
        registry.model("squeezesam"),
        name="tiny_squeezesam",
        builder="tiny_squeezesam:build",
        client=TINY,
    )
    monkeypatch.setattr(registry, "model", lambda _: made)
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A folder with one photo of the bundled set, without annotations."""
    path = catalog.image_set().photos[0].path
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def exported(row: ModelRow, tmp_path: Path, report) -> Path:
    """The folder of a bundle for ONNX Runtime."""
    if missing := obstacle(catalog.target("x86-ort-fp32")):
        pytest.skip(missing)
    request = ExportRequest(
        model=row.name, target="x86-ort-fp32", weights=("seeded",), out=tmp_path, verify=False
    )
    return export(request, report=report).bundle.path


@pytest.mark.slow
def test_it_goes_all_the_way(exported: Path, photo: Path) -> None:
    bundle = store.read_bundle(exported)
    (artifact,) = bundle.manifest.artifacts
    assert artifact.role is Role.ENCODER
    assert artifact.inputs[0].shape == (1, 5, FRAME, FRAME)
    assert [each.name for each in artifact.outputs] == ["low_res_masks", "iou_predictions"]
    assert bundle.manifest.client == TINY
    assert not bundle_contestant(bundle).decodes
    verdict = verify(VerifyRequest(bundle=exported, photos=photo))
    assert verdict.passed, verdict.failures
    assert {kind.kind for kind in verdict.kinds} == {"point", "box", "box + point", "multimask"}

    golden = np.load(exported / "golden" / "tensors.npz", allow_pickle=False)
    guide = json.loads((exported / "golden" / "prompts.json").read_text())
    predictor = Predictor(exported)
    predictor.set_image(exported / "golden" / "photo.png")
    for name, prompt in guide["prompts"].items():
        masks = predictor.predict(**prompt).masks
        assert (masks != golden[f"{name}.mask"].astype(bool)).mean() < 1e-3
    assert "Run the graph once per prompt" in (exported / "README.md").read_text()


@pytest.mark.slow
def test_ranges_are_measured_with_drawn_prompts() -> None:
    from edgekit.precision.measure.ranges import measure
    from edgekit.program.capture import capture_encoder

    contract = registry.model("squeezesam").graph
    program = capture_encoder(network(), frame=FRAME, channels=5, contract=contract)
    photos = replace(catalog.image_set(), photos=catalog.image_set().photos[:1])
    calibration = measure(program, photos=photos, client=TINY)
    assert calibration.prompts > 1
    assert calibration.decoder is None
