"""A bundle takes the place of another only if its files are those that were made."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import catalog, store
from edgekit.errors import BundleCorrupt
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import Artifact, Bundle, Role, TensorSpec, WeightsSource
from edgekit.stages.artifacts import RuntimeFiles
from edgekit.stages.bundling import make_bundle
from edgekit.stages.graphs import LoweredGraphs

SEEDED = WeightsSource(kind="seeded", licence="none", seed=0)


@pytest.fixture
def files(tmp_path: Path) -> RuntimeFiles:
    """The files of both graphs, as the cache holds them, and golden vectors."""
    folder = tmp_path / "cached"
    (folder / "golden").mkdir(parents=True)
    (folder / "golden" / "photo.png").write_bytes(b"photo")
    return RuntimeFiles(folder=folder, artifacts=tuple(artifact(folder, role) for role in Role))


def artifact(folder: Path, role: Role) -> Artifact:
    (folder / f"{role}.xml").write_text(f"the {role}")
    return Artifact(
        role=role,
        format="openvino-ir",
        entry=f"{role}.xml",
        files=(store.digest_file(folder / f"{role}.xml", folder),),
        inputs=(TensorSpec(name="image", dtype="float32", shape=(1, 3, 1024, 1024)),),
        outputs=(TensorSpec(name="masks", dtype="float32", shape=("prompts", 4)),),
        ops={},
    )


def bundled(final: Path, files: RuntimeFiles, source: WeightsSource = SEEDED) -> Bundle:
    graphs = LoweredGraphs(
        row=registry.model("nanosam"), source=source, plan=None, folder=files.folder, graphs=()
    )
    target = catalog.target("x86-fp32")
    return make_bundle(final, target, graphs=graphs, files=files, replace=True)


def test_the_bundle_is_read_back(tmp_path: Path, files: RuntimeFiles) -> None:
    made = bundled(tmp_path / "bundle", files)
    assert made == store.read_bundle(tmp_path / "bundle")


def test_a_damaged_file_does_not_replace_a_bundle(tmp_path: Path, files: RuntimeFiles) -> None:
    before = bundled(tmp_path / "bundle", files)
    (files.folder / "encoder.xml").write_text("THE encoder")
    with pytest.raises(BundleCorrupt, match=r"encoder\.xml was changed"):
        bundled(tmp_path / "bundle", files)
    assert store.read_bundle(tmp_path / "bundle") == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_bundle_names_no_folder_of_its_makers_machine(
    tmp_path: Path, files: RuntimeFiles
) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"trained at home")
    source = locate(registry.model("nanosam"), (str(mine),))
    made = bundled(tmp_path / "bundle", files, source)
    assert made.manifest.licence == "unknown"
    for file in made.path.rglob("*"):
        assert file.is_dir() or str(tmp_path).encode() not in file.read_bytes()
    assert "licence unknown" in (made.path / "README.md").read_text()
