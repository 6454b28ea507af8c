"""A model of volumes in miniature, from weights to a verified bundle."""

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
from edgekit.errors import BadInput
from edgekit.lowering import obstacle
from edgekit.models import registry
from edgekit.pipeline import ExportRequest, VerifyRequest, export, verify
from edgekit.records import ModelRow, Role
from edgekit.runtime import VolumePredictor

torch = pytest.importorskip("torch", reason="exporting needs the extra `export`")

FRAME, GRID, DIM = 32, 2, 48
TARGET = "x86-ort-fp32"


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> ModelRow:
    """A convolution and a narrow decoder in the place of every model."""
    from edgekit.models.sam.volume_decoder import VolumeDecoder

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch_embed = torch.nn.Conv3d(1, DIM, FRAME // GRID, stride=FRAME // GRID)

        def forward(self, image):
            return self.patch_embed(image)

    def build() -> tuple[torch.nn.Module, torch.nn.Module]:
        return Encoder().eval(), VolumeDecoder(dim=DIM, frame=FRAME, grid=GRID).eval()

    # Its source counts in cache keys, so it must have one.
    spec = ModuleSpec("tiny_volumes", None, origin=__file__)
    monkeypatch.setitem(sys.modules, "tiny_volumes", SimpleNamespace(build=build, __spec__=spec))
    own = registry.model("fastsam3d")
    client = replace(
        own.client,
        preprocessing=replace(own.client.preprocessing, frame=FRAME),
        side=4 * GRID,
    )
    made = replace(own, name="tiny_volumes", builder="tiny_volumes:build", client=client)
    monkeypatch.setattr(registry, "model", lambda _: made)
    return made


@pytest.mark.slow
def test_a_model_of_volumes_goes_all_the_way(row: ModelRow, tmp_path: Path, report) -> None:
    if missing := obstacle(catalog.target(TARGET)):
        pytest.skip(missing)
    request = ExportRequest(model=row.name, target=TARGET, weights=("seeded",), out=tmp_path)
    exported = export(request, report=report)
    assert exported.verdict is not None
    assert exported.verdict.passed, exported.verdict.failures
    assert (exported.verdict.sample, exported.verdict.how) == ("volume", "native")
    path = exported.bundle.path
    require_golden(path)
    manifest = store.read_bundle(path).manifest
    assert manifest.client == row.client
    shapes = {a.role: {s.name: s.shape for s in a.inputs} for a in manifest.artifacts}
    assert shapes[Role.ENCODER]["image"] == (1, 1, FRAME, FRAME, FRAME)
    assert shapes[Role.DECODER]["point_coords"] == ("prompts", "points", 3)
    with pytest.raises(BadInput, match="segments volumes"):
        verify(VerifyRequest(bundle=path, photos=tmp_path))


def require_golden(path: Path) -> None:
    """The bundle's own files reproduce its golden masks."""
    golden = np.load(path / "golden" / "tensors.npz", allow_pickle=False)
    guide = json.loads((path / "golden" / "prompts.json").read_text())
    predictor = VolumePredictor(path)
    predictor.set_volume(np.load(path / "golden" / "volume.npy", allow_pickle=False))
    for name, prompt in guide["prompts"].items():
        masks = predictor.predict(**prompt).masks
        assert (masks[0] != golden[f"{name}.mask"].astype(bool)).mean() < 1e-3


def test_empty_slots_of_a_prompt_have_no_influence(row: ModelRow) -> None:
    from edgekit.models.checkpoints import locate
    from edgekit.models.checkpoints.fit import load

    decoder = load(row, locate(row, ("seeded",))).decoder
    side = row.client.side
    shared = (torch.randn(1, DIM, GRID, GRID, GRID),)
    mask = (torch.zeros(1, 1, side, side, side), torch.ones(1))
    coords, labels = torch.rand(1, 4, 3) * FRAME, torch.tensor([[1.0, -1.0, -2.0, -2.0]])
    with torch.inference_mode():
        filled = decoder(*shared, coords, labels, *mask)
        exact = decoder(*shared, coords[:, :2], labels[:, :2], *mask)
    for ours, theirs in zip(filled, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
