"""Volumes and masks as files: NumPy always, NIfTI with nibabel, and files that mean harm."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import BadInput, RuntimeMissing
from edgekit.runtime import volume_files
from edgekit.runtime.volume_files import MOST_BYTES, read_volume, write_mask

SIDE = 4
SCAN = np.arange(SIDE**3, dtype=np.int16).reshape(SIDE, SIDE, SIDE)


def saved(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    if path.suffix == ".npy":
        np.save(path, array)
        return path
    nibabel = pytest.importorskip("nibabel", reason="NIfTI needs the extra `volumes`")
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize("name", ["scan.npy", "scan.nii", "scan.nii.gz", "SCAN.NII.GZ"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_voxels_and_masks_keep_their_places(tmp_path: Path, name: str, dtype: str) -> None:
    volume = read_volume(saved(tmp_path / name, SCAN.astype(dtype)), SIDE)
    assert np.array_equal(volume.voxels, SCAN)
    out = tmp_path / f"mask{''.join(Path(name).suffixes)}"
    write_mask(out, SCAN > 30, volume)
    assert np.array_equal(read_volume(out, SIDE).voxels, SCAN > 30)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_nifti_axes_are_turned_and_turned_back(tmp_path: Path, order, signs) -> None:
    """The affine leads file axis i along world axis order[i], forwards or backwards."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = 1.5 * sign
    path = saved(tmp_path / "scan.nii", SCAN, affine)
    volume = read_volume(path, SIDE)
    nibabel = pytest.importorskip("nibabel")
    assert np.array_equal(volume.voxels, nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
    place = np.array([[1.0, 0.0, 3.0]])
    turned = tuple(volume.turned(place)[0].astype(int))
    assert volume.voxels[turned] == SCAN[1, 0, 3]
    write_mask(tmp_path / "mask.nii", volume.voxels > 30, volume)
    written = nibabel.load(tmp_path / "mask.nii")
    assert np.array_equal(written.dataobj, SCAN > 30)
    assert np.array_equal(written.affine, affine)


def test_a_fourth_axis_of_length_one_is_dropped(tmp_path: Path) -> None:
    volume = read_volume(saved(tmp_path / "scan.nii", SCAN[..., None]), SIDE)
    assert np.array_equal(volume.voxels, SCAN)


@pytest.mark.parametrize("name", ["scan.npy", "scan.nii"])
@pytest.mark.parametrize(
    ("array", "words"),
    [
        (SCAN[:2], "shape [2, 4, 4]"),
        (SCAN.astype(np.complex64), "type complex64"),
    ],
)
def test_other_shapes_and_types(tmp_path: Path, name: str, array, words: str) -> None:
    path = saved(tmp_path / name, array)
    with pytest.raises(BadInput) as caught:
        read_volume(path, SIDE)
    assert words in str(caught.value)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", SCAN.astype(object), allow_pickle=True)
    with pytest.raises(BadInput, match="cannot be read"):
        read_volume(tmp_path / "scan.npy", SIDE)


def test_a_header_of_a_huge_array_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "scan.npy").open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**20, 2**20, 2**10)}
        np.lib.format.write_array_header_2_0(file, header)
        file.write(b"\0" * 64)
    with pytest.raises(BadInput, match="cannot be read"):
        read_volume(tmp_path / "scan.npy", SIDE)


def test_a_small_file_that_unpacks_to_a_huge_one(tmp_path: Path) -> None:
    pytest.importorskip("nibabel", reason="NIfTI needs the extra `volumes`")
    with gzip.open(tmp_path / "scan.nii.gz", "wb", compresslevel=1) as file:
        for _ in range(MOST_BYTES // 2**20 + 1):
            file.write(bytes(2**20))
    with pytest.raises(BadInput, match="holds more than 64 MiB"):
        read_volume(tmp_path / "scan.nii.gz", SIDE)


def test_a_singular_affine(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="NIfTI needs the extra `volumes`")
    image = nibabel.Nifti1Image(SCAN, None)
    image.header.set_sform(np.zeros((4, 4)), code=1)
    data = bytearray(image.to_bytes())
    (tmp_path / "scan.nii").write_bytes(data)
    with pytest.raises(BadInput, match=r"does not say how its axes lie|cannot be read"):
        read_volume(tmp_path / "scan.nii", SIDE)


@pytest.mark.parametrize("name", ["scan.npy", "scan.nii", "scan.nii.gz"])
def test_damaged_files_are_bad_input(tmp_path: Path, name: str, capfd) -> None:
    """Bytes changed or cut off at random: read, or refused in words, and nothing is printed."""
    random = np.random.default_rng(0)
    sound = saved(tmp_path / name, SCAN).read_bytes()
    for _ in range(150):
        data = bytearray(sound[: random.integers(1, len(sound) + 1)])
        for place in random.integers(0, min(len(data), 400), 3):
            data[place] = random.integers(0, 256)
        (tmp_path / name).write_bytes(data)
        try:
            volume = read_volume(tmp_path / name, SIDE)
        except BadInput:
            continue
        assert volume.voxels.shape == SCAN.shape
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "words"), [("scan.dcm", "not that of a volume"), ("none.npy", "There is no file")]
)
def test_names_that_are_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_volume(tmp_path / name, SIDE)


def test_without_nibabel_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "scan.nii", SCAN)
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(RuntimeMissing, match=r"edgekit\[volumes\]"):
        read_volume(path, SIDE)
    assert volume_files.names_volume(path)
