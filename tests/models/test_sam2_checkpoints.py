"""Published files of the SAM 2 line: nested, with tensors that only video needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import CheckpointMismatch
from edgekit.models import registry
from edgekit.models.families.sam2 import VIDEO_KEYS
from edgekit.records import WeightsSource
from tests.models.weights import source

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
pytestmark = pytest.mark.slow

SMALLEST = registry.model("efficienttam_ti_512x512")


@pytest.fixture(scope="module")
def state() -> dict:
    from edgekit.models.checkpoints.fit import load

    split = load(SMALLEST, WeightsSource(kind="seeded", licence="none", seed=3))
    return split.encoder.state_dict() | split.decoder.state_dict()


def save(state: dict, path: Path) -> Path:
    video = {key + "weight" if key.endswith(".") else key: torch.zeros(1) for key in VIDEO_KEYS}
    torch.save({"model": state | video}, path)
    return path


def test_a_file_loads_without_its_video_tensors(state: dict, tmp_path: Path) -> None:
    from edgekit.models.checkpoints.fit import load

    split = load(SMALLEST, source(save(state, tmp_path / "efficienttam_ti_512x512.pt")))
    ours = split.encoder.state_dict() | split.decoder.state_dict()
    assert ours.keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.items())


def test_a_file_of_another_family_is_named_by_its_keys(state: dict, tmp_path: Path) -> None:
    from edgekit.models.checkpoints.fit import load

    path = save(state, tmp_path / "efficienttam_ti_512x512.pt")
    with pytest.raises(CheckpointMismatch, match="look like EfficientTAM") as error:
        load(registry.model("edgetam"), source(path))
    assert "missing: image_encoder.neck.convs.0.conv.bias" in str(error.value)


def test_a_mismatch_in_the_same_family_names_no_family(state: dict, tmp_path: Path) -> None:
    from edgekit.models.checkpoints.fit import load

    broken = {name: tensor for name, tensor in state.items() if name != "no_mem_embed"}
    with pytest.raises(CheckpointMismatch, match="1 missing: no_mem_embed") as error:
        load(SMALLEST, source(save(broken, tmp_path / "broken.pt")))
    assert "look like" not in str(error.value)
