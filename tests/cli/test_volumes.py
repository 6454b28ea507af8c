"""`edgekit predict` on volumes, over a bundle whose graphs are stand-ins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

SCAN = np.ones((128, 128, 128), np.int16)
SCAN[64:] = 2


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.npy"
    np.save(path, SCAN)
    return path


def test_a_mask_of_the_volumes_size_is_written(run, volume_bundle, scan, tmp_path) -> None:
    out = tmp_path / "mask.npy"
    result = run("predict", volume_bundle, scan, "--point", "10,50,71", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "random weights" in result.stderr
    assert str(out) in result.stdout.replace("\n", "")
    mask = np.load(out, allow_pickle=False)
    assert (mask.dtype, mask.shape) == (np.uint8, SCAN.shape)
    assert mask[:31].all()
    assert not mask[33:].any()


def test_nifti_keeps_the_files_own_axes(run, volume_bundle, tmp_path) -> None:
    """The file's first axis leads to the left, so the mask is at its far end."""
    nibabel = pytest.importorskip("nibabel", reason="NIfTI needs the extra `volumes`")
    affine = np.diag([-1.5, 1.5, 1.5, 1])
    nibabel.save(nibabel.Nifti1Image(SCAN, affine), tmp_path / "scan.nii.gz")
    out = tmp_path / "mask.nii.gz"
    clicks = ("--point", "120,50,71", "--point", "3,3,3,0")
    result = run("predict", volume_bundle, tmp_path / "scan.nii.gz", *clicks, "--out", out)
    assert result.exit_code == 0, result.stderr
    written = nibabel.load(out)
    mask = np.asarray(written.dataobj)
    assert np.array_equal(written.affine, affine)
    assert mask[97:].all()
    assert not mask[:95].any()


def test_json(run, volume_bundle, scan) -> None:
    result = run("predict", volume_bundle, scan, "--point", "10,50,71", "--json")
    (mask,) = json.loads(result.stdout)["masks"]
    assert mask["score"] == 0.75
    assert mask["voxels"] == 32 * 128 * 128
    assert mask["volume_share"] == 0.25
    assert mask["file"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ("There is no prompt", "x,y,z")),
        (("--point", "10,50"), ("--point 10,50 is not a point in a volume", "64,50,71")),
        (("--point", "a,b,c"), ("not a point in a volume",)),
        (("--point", "10,50,nan"), ("must be finite",)),
        (("--point", "10,50,128"), ("(10, 50, 128) lies outside the volume", "0 to 127")),
        (("--point", "1,2,3,7"), ("no point label 7",)),
        (("--point", "1,2,3", "--box", "1,2,3,4"), ("--box cannot be used with a volume",)),
        (("--point", "1,2,3", "--multimask"), ("--multimask",)),
        (("--everything", "--grid", "4"), ("--everything and --grid",)),
        (("--point", "1,2,3", "--out", "mask.png"), ("mask.png", ".npy, .nii, .nii.gz")),
        (("--point", "1,2,3", "--out", "no/mask.npy"), ("does not exist",)),
    ],
)
def test_options_that_are_refused(run, volume_bundle, scan, options, words) -> None:
    result = run("predict", volume_bundle, scan, *options)
    assert result.exit_code == 2
    for word in words:
        assert word in " ".join(result.stderr.split())


def test_a_bundle_and_a_file_of_different_kinds(run, bundle, volume_bundle, photo, scan) -> None:
    mixed = run("predict", bundle, scan, "--point", "1,2,3")
    assert (mixed.exit_code, "segments photos" in mixed.stderr) == (2, True)
    mixed = run("predict", volume_bundle, photo, "--point", "1,2")
    assert (mixed.exit_code, "segments volumes" in mixed.stderr) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        ("bench",),
        ("verify", "--photos", "."),
        ("verify", "--everything"),
    ],
)
def test_what_only_photos_can_do_is_refused(run, volume_bundle, command) -> None:
    name, *options = command
    result = run(name, volume_bundle, *options)
    assert result.exit_code == 2
    assert "segments volumes, not photos" in " ".join(result.stderr.split())


def test_the_models_page_says_which_targets_and_why(run) -> None:
    told = " ".join(run("models", "fastsam3d").stdout.split())
    assert "128 x 128 x 128 voxels" in told
    assert "onnxruntime, openvino; fp32" in told
