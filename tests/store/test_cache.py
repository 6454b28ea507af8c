from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edgekit.errors import BadInput
from edgekit.store import cache_dir, cached_dir


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "graph.onnx").write_bytes(b"graph")


def never(folder: Path) -> None:
    pytest.fail("it was built again")


def test_built_once(cache: Path) -> None:
    first = cached_dir("key", fill)
    assert first.is_relative_to(cache)
    assert (first / "inner" / "graph.onnx").read_bytes() == b"graph"
    assert cached_dir("key", never) == first
    assert cached_dir("other", fill) != first


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_interrupted_build_is_not_kept(cache: Path, stop: type[BaseException]) -> None:
    def halfway(folder: Path) -> None:
        fill(folder)
        raise stop

    with pytest.raises(stop):
        cached_dir("key", halfway)
    assert list((cache / "stages").iterdir()) == []
    cached_dir("key", fill)


@pytest.mark.parametrize("damage", ["lost", "shortened", "unlisted"])
def test_damaged_entry_is_built_again(damage: str) -> None:
    entry = cached_dir("key", fill)
    file = entry / "inner" / "graph.onnx"
    match damage:
        case "lost":
            file.unlink()
        case "shortened":
            file.write_bytes(b"")
        case "unlisted":
            (entry / ".files.json").write_text("{")
    assert cached_dir("key", fill) == entry
    assert file.read_bytes() == b"graph"


def test_two_builders_at_once(cache: Path) -> None:
    both_inside = threading.Barrier(2, timeout=20)
    found: list[Path] = []

    def build(folder: Path) -> None:
        both_inside.wait()
        fill(folder)

    threads = [
        threading.Thread(target=lambda: found.append(cached_dir("key", build))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [cache / "stages" / "key"] * 2
    assert [path.name for path in (cache / "stages").iterdir()] == ["key"]
    assert (found[0] / "inner" / "graph.onnx").read_bytes() == b"graph"


@pytest.mark.parametrize("key", ["", "..", "a/b", ".hidden", "k" * 129])
def test_key_that_is_not_a_name(key: str) -> None:
    with pytest.raises(ValueError, match="not a cache key"):
        cached_dir(key, never)


def test_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(BadInput, match="EDGEKIT_CACHE"):
        cached_dir("key", never)


def test_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EDGEKIT_CACHE", "~/chosen")
    assert cache_dir() == tmp_path / "chosen"
    monkeypatch.setenv("EDGEKIT_CACHE", "")
    assert "edgekit" in cache_dir().name
    assert cache_dir().is_absolute()
