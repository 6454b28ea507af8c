"""The README's tables and commands are the program's own.

The tables are generated: `UPDATE_README=1 pytest tests/test_readme.py` writes them anew.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from pathlib import Path

import pytest

from edgekit import catalog
from edgekit.catalog.runtimes import unsupported
from edgekit.models import families, registry
from edgekit.models.verified import verified_devices

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def models_table() -> str:
    rows = ["| model | what it is | parameters | weights licence |", "|---|---|--:|---|"]
    rows += [
        f"| `{row.name}` | [{row.title}]({row.paper}) | {row.parameters / 1e6:.1f} M "
        f"| {row.licence} |"
        for row in registry.models()
    ]
    return "\n".join(rows)


def targets_table() -> str:
    rows = ["| target | device | runtime | precision | gate: mean / min IoU | state |"]
    rows += ["|---|---|---|---|---|---|"]
    for target in catalog.targets():
        gate = f"{target.gate.mean_iou} / {target.gate.min_iou}"
        rows.append(
            f"| `{target.name}` | {target.device} | {target.runtime} | {target.precision} | {gate} "
            f"| {'not yet' if unsupported(target) else 'ready'} |"
        )
    return "\n".join(rows)


def families_table() -> str:
    lines = (ROOT / "tests" / "benchmarks" / "families.jsonl").read_text().splitlines()
    measured = {(r["kind"], r["model"], r["target"]): r for r in map(json.loads, lines)}

    def told(kinds: tuple[str, ...], model: str, target: str, figure: str, shown: str) -> str:
        found = [measured.get((kind, model, target), {}).get(figure) for kind in kinds]
        return next((shown.format(value) for value in found if value is not None), "")

    export, speed = ("verify", "export"), ("speed",)

    columns = "export, CPU | peak memory | encoder, eager | ONNX Runtime | OpenVINO | verified"
    rows = [f"| model | {columns} |", "|---|--:|--:|--:|--:|--:|---|"]
    for name in (row.name for row in registry.models()):
        cells = [
            told(export, name, "x86-fp32", "cpu_s", "{:.0f} s"),
            told(export, name, "x86-fp32", "peak_gb", "{:.1f} GB"),
            told(speed, name, "x86-fp32", "eager_ms", "{:.0f} ms"),
            told(speed, name, "x86-ort-fp32", "ratio", "{:.2f}x"),
            told(speed, name, "x86-fp32", "ratio", "{:.2f}x"),
            "; ".join(verified_devices(name)),
        ]
        if any(cells):
            rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def runtimes_table() -> str:
    """`edgekit bench ... --json`, one run."""
    bench = json.loads((ROOT / "tests" / "benchmarks" / "runtimes.json").read_text())
    tasks = [timing["task"] for timing in bench["figures"][0]["timings"]]
    rows = [f"| | {' | '.join(tasks)} | eager / encoder | peak memory |"]
    rows += ["|---|" + "--:|" * (len(tasks) + 2)]
    medians = {
        figure["name"]: [timing["p50"] for timing in figure["timings"]]
        for figure in bench["figures"]
    }
    eager = medians["PyTorch eager"][0]
    for figure in bench["figures"]:
        times = medians[figure["name"]]
        cells = [f"{seconds * 1e3:.0f} ms" for seconds in times]
        cells += [f"{eager / times[0]:.2f}", f"{figure['peak_bytes'] / 1e6:.0f} MB"]
        rows.append(f"| {figure['name']} ({figure['runtime']}) | {' | '.join(cells)} |")
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("block", "table"),
    [
        ("models", models_table),
        ("targets", targets_table),
        ("runtimes", runtimes_table),
        ("families", families_table),
    ],
)
def test_tables_are_up_to_date(block: str, table) -> None:
    text = README.read_text()
    between = re.compile(rf"(<!-- {block}: [^>]*-->\n)(.*?)(<!-- /{block} -->)", re.DOTALL)
    assert between.search(text), f"the README has no block {block}"
    fresh = between.sub(lambda found: f"{found[1]}\n{table()}\n\n{found[3]}", text)
    if os.environ.get("UPDATE_README"):
        README.write_text(fresh)
    assert text == fresh or os.environ.get("UPDATE_README"), "UPDATE_README=1 writes it anew"


def test_every_command_is_in_the_readme() -> None:
    from edgekit.cli import app

    named = {command.name or command.callback.__name__ for command in app.registered_commands}
    missing = {name for name in named if f"`edgekit {name}" not in README.read_text()}
    assert not missing


def test_ci_runs_the_readmes_commands() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    for command in ("pip install -e '.[dev]'", "pytest", "ruff check .", "ruff format --check ."):
        assert command in README.read_text()
    assert "-e '.[dev]'" in ci
    for command in ("ruff check .", "ruff format --check .", "mypy", "lint-imports", "pytest"):
        assert re.search(rf"^{re.escape(command)}", ci, re.MULTILINE), f".ci/run lacks {command}"


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text()):
        assert (ROOT / link).exists(), link


@pytest.mark.slow
def test_the_model_that_the_readme_adds_is_exported_and_verified(
    tmp_path: Path, report, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from edgekit.pipeline import ExportRequest, export, verify

    readme = ROOT / "edgekit" / "models" / "README.md"
    section = readme.read_text().partition("## Add a model")[2]
    source = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert source
    (tmp_path / "shallowsam.py").write_text(source[1])
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    rows = importlib.import_module("edgekit.models.families.shallowsam").ROWS
    monkeypatch.setattr(registry, "_ROWS", (*registry.models(), *rows))

    request = ExportRequest(
        model="shallowsam", target="x86-fp32", weights=("seeded",), out=tmp_path, verify=False
    )
    path = export(request, report=report).bundle.path
    photo = catalog.held_out_set().photos[0].path
    verdict = verify(path, photos=photo, weights=("seeded",), min_iou=None, report=report)
    assert verdict.passed, verdict.failures
