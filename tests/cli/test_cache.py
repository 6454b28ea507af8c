"""`edgekit cache` lists, prunes and verifies entries."""

from __future__ import annotations

import json
import os
import time

import pytest

from edgekit.store import cached_dir, stage_key


@pytest.fixture(autouse=True)
def entries(tmp_path, monkeypatch):
    """Three entries of a megabyte; the first was used three hours ago, the last now."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    folders = [
        cached_dir(stage_key(kind), lambda part: (part / "data").write_bytes(bytes(10**6)))
        for kind in ("graphs", "artifacts", "plan")
    ]
    for hours, folder in zip((3, 2, 0), folders, strict=True):
        os.utime(folder / ".files.json", (time.time() - hours * 3600,) * 2)
    return folders


def kinds(run) -> list[str]:
    return [entry["kind"] for entry in json.loads(run("cache", "--json").stdout)["entries"]]


def test_list(run, entries, tmp_path):
    shown = run("cache").stdout
    for word in (entries[0].name, "graphs", "1.0 MB", "3 entries, 0.00 GB in", "limit is 20 GB"):
        assert word in shown
    listed = json.loads(run("cache", "--json").stdout)
    assert listed["folder"] == str(tmp_path / "cache")
    assert listed["limit_bytes"] == 20 * 10**9
    assert listed["entries"][0]["key"] == entries[0].name
    assert listed["entries"][0]["last_used"].endswith("Z")


def test_an_empty_cache(run, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "none"))
    assert "0 entries" in run("cache").stdout
    assert "Removed 0 entries" in run("cache", "prune", "--all").stdout


def test_prune_removes_the_least_recently_used(run):
    assert "Removed 0 entries" in run("cache", "prune").stdout
    result = run("cache", "prune", "--to", "0.0015")
    assert "Removed 2 entries, 0.00 GB; 1 entry, 0.00 GB left." in result.stdout
    assert kinds(run) == ["plan"]
    run("cache", "prune", "--all")
    assert kinds(run) == []


def test_prune_refuses_both_ways_at_once(run):
    result = run("cache", "prune", "--all", "--to", "1")
    assert result.exit_code == 2
    assert "Expected: --to GB or --all" in result.stderr


def test_verify_removes_what_is_damaged(run, entries):
    assert "Verified 3 entries, 0.00 GB; 0 damaged." in run("cache", "verify").stdout
    (entries[1] / "data").write_bytes(bytes(999_999) + b"x")
    (entries[2] / "data").unlink()
    shown = run("cache", "verify").stdout
    assert f"Removed {entries[1].name}: the SHA-256 of data differs." in shown
    assert f"Removed {entries[2].name}: its files are not those of its listing." in shown
    assert kinds(run) == ["graphs"]


def test_a_limit_that_is_no_size(run, monkeypatch):
    monkeypatch.setenv("EDGEKIT_CACHE_LIMIT", "much")
    result = run("cache")
    assert result.exit_code == 2
    assert "EDGEKIT_CACHE_LIMIT" in result.stderr
