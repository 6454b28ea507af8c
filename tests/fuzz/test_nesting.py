"""Deep nesting ends in one message however high the process has set Python's recursion limit.

litert-converter raises the limit to 100,000 on import. A parser in C that recurses so deep, such as
`json`, overflows its stack, and the process dies without a word.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPTH = 100_000
RUN = """
import sys
sys.setrecursionlimit(100_000)
from pathlib import Path
from edgekit.catalog import tables
from edgekit.cli import app
from typer.testing import CliRunner
if sys.argv[1] == "targets":
    tables._PACKAGE = Path(sys.argv[3]).parents[1] / "edgekit"
    sys.argv[3:] = []
result = CliRunner().invoke(app, sys.argv[1:])
print(result.output[:2000])
sys.exit(result.exit_code)
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


NESTED = {
    "lists": "[" * DEPTH + "]" * DEPTH,
    "objects": '{"a":' * DEPTH + "1" + "}" * DEPTH,
    "unclosed": "[" * DEPTH,
}


@pytest.mark.slow
@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("key", ["client", "artifacts"])
def test_a_manifest(tiny: Path, nested: str, key: str) -> None:
    document = json.loads((tiny / "manifest.json").read_text())
    document[key] = "HERE"
    text = json.dumps(document).replace('"HERE"', NESTED[nested])
    (tiny / "manifest.json").write_text(text)
    done = run("inspect", tiny)
    assert done.returncode == 2, done
    assert "manifest.json" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("key", ["segmentation", "counts"])
def test_annotations(tiny: Path, photo: Path, nested: str, key: str) -> None:
    annotation = {"image_id": 1, "bbox": [1, 1, 40, 40], "segmentation": None}
    if key == "counts":
        annotation["segmentation"] = {"size": [64, 96], "counts": "HERE"}
    else:
        annotation[key] = "HERE"
    document = {"images": [{"id": 1, "file_name": photo.name}], "annotations": [annotation]}
    file = photo.with_name("deep.json")
    file.write_text(json.dumps(document).replace('"HERE"', NESTED[nested]))
    done = run("evaluate", tiny, file)
    assert done.returncode == 2, done
    assert "deep.json" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "opset = " + "[" * DEPTH,
        "opset = " + "[" * 3000 + "]" * 3000,
        "opset = " + "[" * 40_000 + "]" * 40_000,
        "opset = " + "{a=" * 3000 + "1" + "}" * 3000,
        "a." * 3000 + "b = 1",
        "[" + "a." * 3000 + "b]",
    ],
    ids=["unclosed", "lists", "more lists", "tables", "dotted", "header"],
)
def test_a_target(tmp_path: Path, line: str) -> None:
    file = tmp_path / "targets" / "board.toml"
    file.parent.mkdir()
    file.write_text(f'name = "board"\n{line}\n')
    done = run("targets", "board", file)
    assert done.returncode == 2, done
    assert "board.toml" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("nested", NESTED)
def test_the_listing_of_a_cache_entry(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: str
) -> None:
    """An entry with such a listing is made again."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", tiny)
    assert run("inspect", archive).returncode == 0
    (listing,) = tmp_path.glob("cache/stages/*/.files.json")
    listing.write_text(NESTED[nested])
    assert run("inspect", archive).returncode == 0
    assert "sha256" in listing.read_text()
