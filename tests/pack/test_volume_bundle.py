"""What a bundle of a model of volumes says to its clients: golden vectors and steps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgekit import catalog
from edgekit.models import registry
from edgekit.pack import bundle_readme, make_manifest, write_golden
from edgekit.records import WeightsSource
from edgekit.runtime import VolumePredictor
from tests.verify.test_volumes import RULES, Decoder, Encoder


def test_a_client_reproduces_the_golden_vectors(tmp_path: Path) -> None:
    write_golden(tmp_path, tmp_path, client=RULES, sessions=(Encoder(), Decoder()))
    folder = tmp_path / "golden"
    with np.load(folder / "tensors.npz", allow_pickle=False) as file:
        golden = dict(file)
    guide = json.loads((folder / "prompts.json").read_text())
    predictor = VolumePredictor.from_sessions(RULES, Encoder(), Decoder())
    predictor.set_volume(np.load(folder / "volume.npy", allow_pickle=False))
    assert set(guide["prompts"]) == {"click", "two_clicks"}
    for name, prompt in guide["prompts"].items():
        result = predictor.predict(**prompt)
        assert np.array_equal(result.masks[0], golden[f"{name}.mask"].astype(bool))
        last = golden[f"{name}.{len(prompt['labels']) - 1}.low_res_masks"]
        assert np.array_equal(result.low_res_logits[0], last[0, 0])
    assert golden["image"].shape == (1, 1, 4, 4, 4)


def test_the_readme_says_every_rule() -> None:
    row = registry.model("fastsam3d")
    source = WeightsSource(kind="seeded", licence="none", seed=0)
    manifest = make_manifest(row, catalog.target("x86-fp32"), source, artifacts=(), golden=())
    readme = bundle_readme(replace(manifest, tools={}))
    for said in (
        "VolumePredictor('.')",
        "1. Take a volume of 128 voxels along each axis.",
        "right, front and head (RAS+)",
        "[1, 1, 128, 128, 128]",
        "then one point with label -1",
        "take mask 0; for several, after the last click, masks 1, 2 and 3.",
        "Enlarge the 32 x 32 x 32 logits trilinearly",
    ):
        assert said in readme
    assert "photo" not in readme
