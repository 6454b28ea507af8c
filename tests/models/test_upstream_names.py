"""Every definition has exactly upstream's tensors, and the size that its row states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.models import registry
from edgekit.records import ModelRow

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")

SPECS = Path(__file__).parents[3] / "shared" / "oracles" / "specs"
ROWS = {row.name: row for row in registry.models()}
# Specs under another name than the row's; that of FastSAM-x has the published number of bins.
SPEC_OF = {
    "fastsam_x": "fastsam_x_regmax26",
    "samlightening": "samlightening_dilated_vit_t",
    "rwkvsam": "rwkvsam_vitamin_small",
}
LISTED = [name for name in ROWS if (SPECS / f"{SPEC_OF.get(name, name)}.json").is_file()]


def tensors(row: ModelRow) -> dict[str, torch.Tensor]:
    """The model's tensors under upstream's names, on the meta device."""
    from edgekit.models.checkpoints.fit import build

    with torch.device("meta"):
        encoder, decoder = build(row)
    named = {row.encoder_prefix + name: t for name, t in encoder.state_dict().items()}
    return named | (decoder.state_dict() if decoder else {})


@pytest.mark.skipif(not LISTED, reason=f"no tensor specs in {SPECS}")
@pytest.mark.parametrize("name", LISTED)
def test_names_and_shapes_are_upstreams(name: str) -> None:
    row = ROWS[name]
    spec = json.loads((SPECS / f"{SPEC_OF.get(name, name)}.json").read_text())
    assert row.parameters == spec["num_params"]
    theirs = {
        key: tuple(shape)
        for key, shape, _ in spec["state_dict"]
        if not key.startswith(row.unused_keys)
    }
    assert {key: tuple(tensor.shape) for key, tensor in tensors(row).items()} == theirs


@pytest.mark.parametrize(
    "name", [name for name, row in ROWS.items() if row.licence.startswith(("S-Lab", "AGPL"))]
)
def test_a_restrictive_licence_has_a_warning(name: str) -> None:
    assert "licen" in (ROWS[name].warning or "").lower()
