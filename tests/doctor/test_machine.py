"""Reading the hardware."""

from __future__ import annotations

import pytest

from edgekit.doctor import machine, read_machine


def test_figures_are_plausible(tmp_path):
    found = read_machine(tmp_path)
    assert found.cores >= 1
    assert 0 < found.memory_free_mb <= found.memory_mb
    assert found.disk_free_mb == pytest.approx(machine.free_disk_mb(tmp_path), rel=0.2, abs=500)
    assert found.cpu
    assert bool(found.gpus) != bool(found.no_gpu)


def test_disk_of_a_folder_that_does_not_exist_yet(tmp_path):
    assert machine.free_disk_mb(tmp_path / "not" / "yet") > 0


def gpus_of(monkeypatch, printed: str | None):
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(machine, "command_output", lambda *_: printed)
    return machine._gpus()


def test_gpus_as_nvidia_smi_lists_them(monkeypatch):
    (first, second), why = gpus_of(
        monkeypatch, "NVIDIA GeForce RTX 3090, 8.6, 560.35, 24576\nOrin (nvgpu), 8.7, 540.4, [N/A]"
    )
    assert (first.name, first.compute_capability) == ("NVIDIA GeForce RTX 3090", "8.6")
    assert first.memory_mb == 25769
    assert (second.driver, second.memory_mb) == ("540.4", 0)
    assert why is None


@pytest.mark.parametrize("printed", [None, "", "No devices were found"])
def test_no_gpu_has_a_reason(monkeypatch, printed):
    found, why = gpus_of(monkeypatch, printed)
    assert found == ()
    assert "driver" in why


def test_no_nvidia_smi(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    assert "PATH" in machine._gpus()[1]
