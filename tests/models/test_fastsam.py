"""FastSAM's published files: pickled modules in float16, from which the bins are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import CheckpointMismatch
from edgekit.models import registry
from edgekit.models.checkpoints import locate

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A file as ultralytics writes it, and its tensors."""
    from edgekit.models.encoders.yolov8_seg import SIZES, YoloV8Seg

    network = YoloV8Seg(replace(SIZES["s"], bins=26)).eval().half()
    path = tmp_path_factory.mktemp("weights") / "FastSAM-s.pt"
    torch.save({"epoch": -1, "model": network, "ema": None, "train_args": {"imgsz": 1024}}, path)
    return path, network.state_dict()


def test_the_file_fills_the_network_in_float32(published: tuple[Path, dict]) -> None:
    from edgekit.models.checkpoints.fit import load

    path, tensors = published
    row = registry.model("fastsam_s")
    split = load(row, locate(row, (str(path),)))
    assert split.decoder is None
    filled = split.encoder.state_dict()
    assert filled.keys() == tensors.keys()
    assert filled["model.22.dfl.conv.weight"].shape == (1, 26, 1, 1)
    for name, tensor in tensors.items():
        assert torch.equal(filled[name], tensor.to(filled[name].dtype)), name


def test_the_file_of_the_other_size_is_refused(published: tuple[Path, dict]) -> None:
    from edgekit.models.checkpoints.fit import load

    row = registry.model("fastsam_x")
    with pytest.raises(CheckpointMismatch, match=r"(?s)does not fit FastSAM-x.*mis-shaped"):
        load(row, locate(row, (str(published[0]),)))


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    from edgekit.models.checkpoints.fit import load

    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pt")
    row = registry.model("fastsam_s")
    with pytest.raises(CheckpointMismatch, match="how boxes are coded"):
        load(row, locate(row, (str(tmp_path / "other.pt"),)))


@pytest.mark.slow
def test_the_file_is_recognised(published: tuple[Path, dict]) -> None:
    from edgekit.models.checkpoints.detect import detect

    detection = detect(published[0])
    assert detection.models == ("fastsam_s",)
    assert (detection.encoders, detection.decoders) == ((), ())
    assert detection.family == "FastSAM (YOLOv8-seg)"
