"""INT8 of NanoSAM through the command line, calibrated on real photos and on a black one."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from edgekit import catalog
from edgekit.store import sha256_of

pytestmark = pytest.mark.slow
pytest.importorskip("openvino")
EXPORT = ("export", "nanosam", "--target", "x86-int8", "--weights", "bundled")
FLOAT_BYTES = 63.3e6
"""Size of the encoder's weights in float32."""


def test_int8_calibrated_on_photos_meets_the_gate_on_another(run, tmp_path):
    run(*EXPORT, "--out", tmp_path, "--no-verify", "--force")
    bundle = tmp_path / "nanosam-x86-int8"
    assert (bundle / "encoder.bin").stat().st_size < 0.3 * FLOAT_BYTES
    seen = set(json.loads((bundle / "manifest.json").read_text())["calibration"]["photos"])
    other = next(p for p in catalog.image_set().photos if p.path.stem == "000000165518")
    assert sha256_of(other.path) not in seen
    figures = tmp_path / "verdict.json"
    result = run("verify", bundle, "--photos", other.path, "--json", figures)
    verdict = json.loads(figures.read_text())
    assert result.exit_code in (0, 1), result.output
    native = verdict["how"] == "native"
    assert native or "none of avx512_vnni" in verdict["reason"]
    assert verdict["overall"]["mean_iou"] >= 0.96


def test_int8_calibrated_in_the_dark_fails_and_says_where(run, tmp_path):
    dark = tmp_path / "dark"
    dark.mkdir()
    Image.new("RGB", (640, 480), (2, 2, 2)).save(dark / "night.png")
    result = run(*EXPORT, "--out", tmp_path, "--calibration", dark, "--force")
    assert result.exit_code == 1, result.output
    said = " ".join((result.stdout + result.stderr).split())
    for words in (
        "First block to diverge",
        "Likely cause",
        "Worst kind of prompt",
        "--float-fallback",
    ):
        assert words in said
    assert (tmp_path / "nanosam-x86-int8-mismatch.png").is_file()
