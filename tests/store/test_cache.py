"""The cache: complete entries only, built once, and kept below its limit."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from edgekit.errors import BadInput
from edgekit.store import (
    cache,
    cache_dir,
    cache_entries,
    cached_dir,
    entry_damage,
    remove_entry,
    stage_key,
)

HOUR = 3600.0


@pytest.fixture(autouse=True, name="folder")
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(part: Path) -> None:
    (part / "inner").mkdir()
    (part / "inner" / "graph.onnx").write_bytes(b"graph")


def never(part: Path) -> None:
    pytest.fail("it was built again")


def test_built_once(folder: Path) -> None:
    first = cached_dir("key", fill)
    assert first.is_relative_to(folder)
    assert (first / "inner" / "graph.onnx").read_bytes() == b"graph"
    assert cached_dir("key", never) == first
    assert cached_dir("other", fill) != first


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_interrupted_build_is_not_kept(folder: Path, stop: type[BaseException]) -> None:
    def halfway(part: Path) -> None:
        fill(part)
        raise stop

    with pytest.raises(stop):
        cached_dir("key", halfway)
    assert list((folder / "stages").iterdir()) == []
    cached_dir("key", fill)


@pytest.mark.parametrize("damage", ["lost", "shortened", "unlisted", "changed"])
def test_damaged_entry_is_built_again(damage: str) -> None:
    entry = cached_dir("key", fill)
    file = entry / "inner" / "graph.onnx"
    match damage:
        case "lost":
            file.unlink()
        case "shortened":
            file.write_bytes(b"")
        case "changed":
            file.write_bytes(b"grapi")
        case "unlisted":
            (entry / ".files.json").write_text("{")
    assert cached_dir("key", fill) == entry
    assert file.read_bytes() == b"graph"


def test_two_builders_at_once(folder: Path) -> None:
    both_inside = threading.Barrier(2, timeout=20)
    found: list[Path] = []

    def build(part: Path) -> None:
        both_inside.wait()
        fill(part)

    threads = [
        threading.Thread(target=lambda: found.append(cached_dir("key", build))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [folder / "stages" / "key"] * 2
    assert [path.name for path in (folder / "stages").iterdir()] == ["key"]
    assert (found[0] / "inner" / "graph.onnx").read_bytes() == b"graph"


@pytest.mark.parametrize("key", ["", "..", "a/b", ".hidden", "k" * 129])
def test_invalid_key(key: str) -> None:
    with pytest.raises(ValueError, match="not a cache key"):
        cached_dir(key, never)


def test_cache_that_cannot_be_written(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(BadInput, match="EDGEKIT_CACHE"):
        cached_dir("key", never)


def test_cache_folder_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EDGEKIT_CACHE", "~/chosen")
    assert cache_dir() == tmp_path / "chosen"
    monkeypatch.setenv("EDGEKIT_CACHE", "")
    assert "edgekit" in cache_dir().name
    assert cache_dir().is_absolute()


# --- the limit ------------------------------------------------------------------------------------


def megabyte(part: Path) -> None:
    (part / "data").write_bytes(bytes(10**6))


def used_hours_ago(entry: Path, hours: float) -> Path:
    """As if another process had used the entry that long ago."""
    os.utime(entry / ".files.json", (time.time() - hours * HOUR,) * 2)
    cache._used_here.discard(entry)
    return entry


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of 2.5 MB that is enforced after every new entry."""
    monkeypatch.setenv("EDGEKIT_CACHE_LIMIT", "0.0025")
    monkeypatch.setattr(cache, "_EVICT_EVERY_S", -1)


@pytest.mark.usefixtures("limit")
def test_the_least_recently_used_entries_go_first() -> None:
    entries = [cached_dir(key, megabyte) for key in ("old", "older", "recent")]
    for entry, hours in zip(entries, (5, 9, 2), strict=True):
        used_hours_ago(entry, hours)
    cached_dir("new", megabyte)
    assert [entry.key for entry in cache_entries()] == ["recent", "new"]


@pytest.mark.usefixtures("limit")
def test_a_hit_counts_as_use() -> None:
    for key, hours in (("hit", 9), ("other", 5)):
        used_hours_ago(cached_dir(key, megabyte), hours)
    used_hours_ago(cached_dir("hit", never), 2)
    cached_dir("new", megabyte)
    assert [entry.key for entry in cache_entries()] == ["hit", "new"]


@pytest.mark.usefixtures("limit")
def test_entries_in_use_stay_even_above_the_limit() -> None:
    mine, another = (cached_dir(key, megabyte) for key in ("mine", "another"))
    used_hours_ago(another, 0.5)
    cached_dir("new", megabyte)
    assert {entry.path for entry in cache_entries()} >= {mine, another}


def test_many_new_entries_are_not_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(cache, "cache_entries", lambda: looks.append(1) or ())
    for number in range(5):
        cached_dir(f"key-{number}", fill)
    assert len(looks) == 1


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_no_size(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE_LIMIT", text)
    with pytest.raises(BadInput, match="EDGEKIT_CACHE_LIMIT"):
        cached_dir("key", never)


# --- entries --------------------------------------------------------------------------------------


def test_an_entry_has_its_kind_size_and_last_use() -> None:
    used_hours_ago(cached_dir(stage_key("float-encoder", "a"), megabyte), 3)
    cached_dir("bare", fill)
    first, second = cache_entries()
    assert (first.kind, second.kind) == ("float-encoder", "other")
    assert first.bytes == pytest.approx(10**6, abs=500)
    assert time.time() - first.last_used == pytest.approx(3 * HOUR, abs=60)


def test_damage_is_found_by_digest() -> None:
    entry = cached_dir("key", fill)
    assert entry_damage(entry) is None
    (entry / "inner" / "graph.onnx").write_bytes(b"other")
    assert entry_damage(entry) == "the SHA-256 of inner/graph.onnx differs"


@pytest.mark.parametrize("listing", ["{", "[]", "{}", '{"inner/graph.onnx": 5}'])
def test_a_listing_that_does_not_fit_is_damage(listing: str) -> None:
    entry = cached_dir("key", fill)
    (entry / ".files.json").write_text(listing)
    assert "not those of its listing" in str(entry_damage(entry))
    assert cached_dir("key", fill) == entry
    assert "sha256" in json.loads((entry / ".files.json").read_text())["inner/graph.onnx"]


def test_an_entry_that_was_used_meanwhile_is_not_removed() -> None:
    used_hours_ago(cached_dir("key", fill), 3)
    (listed,) = cache_entries()
    cached_dir("key", never)
    assert not remove_entry(listed)
    assert cached_dir("key", never).is_dir()


def test_an_entry_that_another_process_removed() -> None:
    cached_dir("key", fill)
    (listed,) = cache_entries()
    assert remove_entry(listed)
    assert not remove_entry(listed)
    assert cache_entries() == ()
