"""Pickled modules are read without importing or running anything that they name."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from edgekit.errors import CheckpointMismatch
from edgekit.models.checkpoints.read import read_tensors

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")


class Payload:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch edgekit-was-owned",)


class Block(torch.nn.Module):
    """A module of a package that the reader does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = torch.nn.Linear(3, 2)
        self.register_buffer("table", torch.arange(4.0))
        self.notes = [Payload(), {"a": Payload()}]


@pytest.fixture
def model() -> torch.nn.Module:
    return torch.nn.Sequential(Block(), torch.nn.BatchNorm2d(2)).half()


def remove_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the class, so that the file's module cannot be imported."""
    monkeypatch.delattr(sys.modules[Block.__module__], "Block")


@pytest.mark.parametrize("nest", [None, "model"])
def test_only_tensors_are_read(
    model: torch.nn.Module, nest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = model.state_dict()
    torch.save({nest: model, "epoch": 3} if nest else model, "pruned.pth")
    remove_block(monkeypatch)
    tensors = read_tensors(Path("pruned.pth"))
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, expected[name])
        assert tensor.dtype == expected[name].dtype
    assert not Path("edgekit-was-owned").exists()


def test_other_formats_are_refused(
    model: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.load reads files from before torch 1.6 without the restricted unpickler."""
    monkeypatch.chdir(tmp_path)
    torch.save(model, "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointMismatch, match="damaged or is not a checkpoint"):
        read_tensors(Path("old.pth"))
    assert not Path("edgekit-was-owned").exists()


def test_a_torchscript_archive_is_refused(model: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    torch.save(model, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")
    with pytest.raises(CheckpointMismatch):
        read_tensors(path)


def test_parts_of_a_file_are_joined(tmp_path: Path) -> None:
    weight = torch.ones(2)
    torch.save({"PromtEncoder": {"w": weight}, "MaskDecoder": {"w": 2 * weight}}, tmp_path / "d.pt")
    tensors = read_tensors(tmp_path / "d.pt")
    assert sorted(tensors) == ["MaskDecoder.w", "PromtEncoder.w"]
    assert torch.equal(tensors["MaskDecoder.w"], 2 * weight)
