"""Where weights come from: what a bundle may say of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import WeightsUnavailable
from edgekit.models import registry
from edgekit.models.checkpoints import locate

NANOSAM = registry.model("nanosam")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in a folder whose name would tell of its owner."""
    folder = tmp_path / "the-makers-machine"
    monkeypatch.setenv("EDGEKIT_CACHE", str(folder))
    monkeypatch.setenv("HOME", str(folder / "home"))
    return folder


def wrong_file(cache: Path) -> None:
    (cache / "checkpoints").mkdir(parents=True)
    (cache / "checkpoints" / NANOSAM.checkpoints[0].filename).write_bytes(b"another version")


def a_file_in_place_of_the_cache(cache: Path) -> None:
    cache.write_text("")


@pytest.mark.parametrize(
    "prepare", [lambda _: None, wrong_file, a_file_in_place_of_the_cache], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_the_warning_names_no_folder_of_this_machine(cache: Path, prepare, sha256) -> None:
    prepare(cache)
    unreachable = replace(
        NANOSAM.checkpoints[0], sha256=sha256, url="http://127.0.0.1:1/encoder.onnx"
    )
    row = replace(NANOSAM, checkpoints=(unreachable,))
    try:
        warning = locate(row).warning or ""
    except Exception as error:
        pytest.fail(f"{error!r}")
    if sha256 is None and prepare is wrong_file:
        return  # a file without a known digest is taken
    assert "NOT the official model" in warning
    assert "--weights FILE" in warning
    assert str(cache) not in warning
    assert "the-makers-machine" not in warning


def test_the_error_names_the_folder_to_put_the_file_in(cache: Path) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        locate(NANOSAM, ("official",))
    assert str(cache / "checkpoints") in (caught.value.next_step or "")


def test_the_licence_of_a_users_own_file_is_not_known(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"trained at home")
    assert locate(NANOSAM, (str(mine),)).licence == "unknown"


def test_the_licence_of_a_published_file_is_known(tmp_path: Path) -> None:
    file = tmp_path / "renamed.pth"
    file.write_bytes(b"as published")
    digest = hashlib.sha256(b"as published").hexdigest()
    published = replace(NANOSAM.checkpoints[0], sha256=digest)
    row = replace(NANOSAM, checkpoints=(published,))
    assert locate(row, (str(file),)).licence == row.licence
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"trained at home")
    assert locate(row, (str(file), str(mine))).licence == "unknown"
