"""The READMEs' tables, commands and links are the program's own.

`UPDATE_README=1 pytest tests/test_readme.py` writes the tables.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partialmethod
from itertools import groupby, takewhile
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from edgekit import catalog
from edgekit.benchmark.figures import CURVE, Task
from edgekit.catalog.runtimes import runtime_row, unsupported
from edgekit.models import families, registry
from edgekit.models.survey import SYSTEMS, System
from edgekit.models.verified import verified_devices, verified_targets
from edgekit.records import ModelRow, Precision, Target
from edgekit.runtime import Predictor
from tests.benchmarks.measured import measured_rows

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MODELS = ROOT / "edgekit" / "models" / "README.md"
FOLDERS = ("edgekit", "targets", "calibration", "tests", "examples", ".github")
ALL = [README, *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.md")))]


def table(header: str, align: str, rows: list[Sequence[str]]) -> str:
    """`align` has "l" or "r" for each column."""
    rule = "|".join("--:" if side == "r" else "---" for side in align)
    lines = [" | ".join(row).strip() for row in rows]
    return "\n".join([f"| {header} |", f"|{rule}|", *(f"| {line} |" for line in lines)])


def shared_start(texts: Sequence[str]) -> str:
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in alike)


def brace(names: Sequence[str]) -> str:
    """`sam_vit_b`, `sam_vit_l` as `sam_vit_{b,l}`."""
    start = "".join(shared_start(names).rpartition("_")[:2])
    if len(names) == 1 or not start:
        return ", ".join(f"`{name}`" for name in names)
    return f"`{start}{{{','.join(name.removeprefix(start) for name in names)}}}`"


def family_title(rows: Sequence[ModelRow]) -> str:
    """What the titles of a family's models begin with: "SAM 2.1 (Hiera-T)" is SAM 2.1."""
    shared = shared_start([row.title for row in rows])
    shared = shared if len(shared) > 1 else rows[-1].title
    return re.split(r" \(|[,:]|-$", shared)[0]


def weights(rows: Sequence[ModelRow]) -> str:
    """The licence, and how the official weights come to the machine."""
    fetched = [all(file.sha256 for file in row.checkpoints) for row in rows if row.checkpoints]
    how = "downloaded" if all(fetched) else "some downloaded" if any(fetched) else "bring the file"
    return f"{rows[0].licence}, {how}"


def named(rows: Sequence[ModelRow]) -> tuple[str, str]:
    """A family's title as a link, and the names of the paper's models."""
    families = groupby(rows, key=lambda row: row.family)
    names = ", ".join(brace([row.name for row in own]) for _, own in families)
    return f"[{family_title(rows)}]({rows[0].paper})", names


def family_line(rows: Sequence[ModelRow]) -> Sequence[str]:
    sizes = sorted({round(row.parameters / 1e6) for row in rows})
    verified = {t.rpartition("-")[2] for row in rows for t in verified_targets(row.name)}
    return (
        *named(rows),
        f"{sizes[0]} M" if len(sizes) == 1 else f"{sizes[0]}-{sizes[-1]} M",
        weights(rows),
        ", ".join(p for p in Precision if p in verified) or "not yet",
    )


def front_families_table() -> str:
    """A table of the models with weights, a row per paper, and a sentence for the others."""
    groups = [list(group) for _, group in groupby(registry.models(), key=lambda row: row.paper)]
    published = [rows for rows in groups if any(row.checkpoints for row in rows)]
    others = [" ".join(named(rows)) for rows in groups if rows not in published]
    lines = [family_line(rows) for rows in published]
    listed = table("family | models | parameters | official weights | verified", "llrll", lines)
    return f"{listed}\n\nNo weights are public for {', '.join(others)}."


def device_title(devices: Sequence[str]) -> str:
    """What the devices have in common: "iPhone, CPU and GPU" and "iPhone 12" are an iPhone."""
    return re.sub(r"( with)?[ ,(]+$", "", shared_start(devices))


def front_targets_table() -> str:
    def device(target: Target) -> str:
        return target.name.rpartition("-")[0]

    rows = []
    for _, group in groupby(sorted(catalog.targets(), key=device), key=device):
        targets = list(group)
        runtime = runtime_row(targets[0].runtime)
        names = [f"`{target.name}`" for target in targets]
        rows.append((device_title([t.device for t in targets]), runtime.title, ", ".join(names)))
    return table("device | runtime | targets", "lll", rows)


def models_table() -> str:
    rows = [
        (
            f"`{row.name}`",
            f"[{row.title}]({row.paper})",
            f"{row.parameters / 1e6:.1f} M",
            row.licence,
        )
        for row in registry.models()
    ]
    return table("model | what it is | parameters | weights licence", "llrl", rows)


def survey_table() -> str:
    rows = []
    for system in SYSTEMS:
        title = f"[{system.name}]({system.paper})" if system.paper else system.name
        rows.append((title, system.status, place_of(system)))
    return table("system | status | where it is, or why it is not here", "lll", rows)


def family_module(row: ModelRow) -> str:
    """The name of the module that defines a row."""
    names = (module.name for module in iter_modules(families.__path__))
    modules = {name: importlib.import_module(f"{families.__name__}.{name}") for name in names}
    return next(name for name, module in modules.items() if row in getattr(module, "ROWS", ()))


def place_of(system: System) -> str:
    """Links to the family and the techniques with a note, or the reason."""
    files = dict.fromkeys(f"families/{family_module(row)}.py" for row in system.rows)
    links = [f"[{file}]({file})" for file in files]
    links += [f"[{module}](../{module})" for module in system.techniques]
    return ": ".join(filter(None, (", ".join(links), system.note))) or system.reason


def targets_table() -> str:
    rows = []
    for target in catalog.targets():
        gate = target.gate
        bounds = [f"{bound:g}" if bound else "-" for bound in (gate.p5_iou, gate.min_iou)]
        rows.append(
            (
                f"`{target.name}`",
                target.device,
                f"{runtime_row(target.runtime).title} {target.runtime_versions}",
                target.precision,
                " / ".join([f"{gate.mean_iou:g}", *bounds]),
                "not yet" if unsupported(target) else "ready",
                f"`{target.runtime}`",
            )
        )
    header = "target | device | runtime | precision | gate: mean / 5th pct. / min | state | install"
    return table(header, "lllllll", rows)


def profile() -> str:
    """A target's file as it is."""
    return f"```toml\n{(ROOT / 'targets' / 'x86-ort-fp32.toml').read_text().strip()}\n```"


def sets_table() -> str:
    rows = []
    for name in catalog.image_sets():
        comment = (ROOT / "calibration" / f"{name}.toml").read_text()
        lines = " ".join(re.match(r"((#.*\n)+)", comment)[1].replace("#", "").split())
        rows.append((f"`{name}`", str(len(catalog.image_set(name).photos)), lines.split(". ")[0]))
    return table("set | photos | what it is", "lrl", rows)


def families_table() -> str:
    measured = {(r["kind"], r["model"], r["target"]): r for r in measured_rows()}

    def cell(kinds: tuple[str, ...], model: str, target: str, figure: str, form: str) -> str:
        values = [measured.get((kind, model, target), {}).get(figure) for kind in kinds]
        return next((form.format(value) for value in values if value is not None), "")

    export, speed = ("verify", "export"), ("speed",)
    rows = []
    for name in (row.name for row in registry.models()):
        cells = (
            cell(export, name, "x86-fp32", "peak_gb", "{:.1f} GB"),
            cell(speed, name, "x86-fp32", "eager_ms", "{:.0f} ms"),
            cell(speed, name, "x86-ort-fp32", "ratio", "{:.2f}x"),
            cell(speed, name, "x86-fp32", "ratio", "{:.2f}x"),
            "; ".join(verified_devices(name)),
        )
        if any(cells):
            rows.append((f"`{name}`", *cells))
    columns = "peak memory | encoder, eager | ONNX Runtime | OpenVINO | verified"
    return table(f"model | {columns}", "lrrrrl", rows)


def runtimes_table() -> str:
    """`edgekit bench ... --json`, one run."""
    bench = json.loads((ROOT / "tests" / "benchmarks" / "runtimes.json").read_text())
    tasks = [task for task in Task if task not in CURVE[1:-1]]
    medians = {
        figure["name"]: {timing["task"]: timing["p50"] for timing in figure["timings"]}
        for figure in bench["figures"]
    }
    eager = medians["PyTorch eager"][Task.ENCODER]
    rows = []
    for figure in bench["figures"]:
        times = [medians[figure["name"]][task] for task in tasks]
        cells = [f"{seconds * 1e3:.0f} ms" for seconds in times]
        cells += [f"{eager / times[0]:.2f}", f"{figure['peak_bytes'] / 1e6:.0f} MB"]
        rows.append((f"{figure['name']} ({figure['runtime']})", *cells))
    header = f" | {' | '.join(tasks)} | eager / encoder | peak memory"
    return table(header, "l" + "r" * (len(tasks) + 2), rows)


LONGEST = 10
"""Lines of a table of nodes; the others are one line."""


def decoder_tables() -> str:
    """What `tests/benchmarks/decoder_nodes.py` measured."""
    run = json.loads((ROOT / "tests" / "benchmarks" / "decoder_nodes.json").read_text())
    total = sum(line["ms"] for line in run["operator"])
    said = (
        f"`{run['model']}`, {run['prompts']} boxes in one call: {total:.0f} ms. {run['runtime']}, "
        f"{run['threads']} threads, {run['cpu']}."
    )
    columns = {"depends": "depends on", "part": "part", "operator": "operator"}
    return "\n\n".join([said, *(nodes_table(run, *column) for column in columns.items())])


def nodes_table(run: Mapping[str, Any], column: str, title: str) -> str:
    lines = run[column]
    total, others = sum(line["ms"] for line in lines), lines[LONGEST:]
    if others:
        counts = {key: sum(line[key] for line in others) for key in ("nodes", "ms")}
        lines = [*lines[:LONGEST], {"name": f"{len(others)} others", **counts}]
    rows = [
        (
            line["name"],
            f"{line['nodes']}",
            f"{line['ms'] / run['prompts']:.2f}",
            f"{line['ms'] / total:.0%}",
        )
        for line in lines
    ]
    return table(f"{title} | nodes | ms a prompt | share", "lrrr", rows)


def first_sentence(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text())) or ""
    return re.split(r"(?<=[.?])\s", " ".join(text.split()))[0]


def packages_table() -> str:
    """In the order of the layers that import-linter holds."""
    contract = (ROOT / "pyproject.toml").read_text().partition("exhaustive = true")[2]
    layers = re.search(r"layers = \[(.*?)\]", contract, re.DOTALL)[1]
    rows = []
    for name in re.findall(r"\w+", layers):
        package = ROOT / "edgekit" / name / "__init__.py"
        module = package if package.is_file() else ROOT / "edgekit" / f"{name}.py"
        shown = f"{name}/" if module == package else f"{name}.py"
        rows.append((f"[{shown}]({shown.rstrip('/')})", first_sentence(module)))
    return table("package | what it is", "ll", rows)


def programs_table() -> str:
    rows = [
        (f"[{path.name}]({path.name})", first_sentence(path))
        for path in sorted((ROOT / "examples").glob("*.py"))
    ]
    return table("program | what it shows", "ll", rows)


BLOCKS = [
    (README, "families", front_families_table),
    (README, "targets", front_targets_table),
    (MODELS, "models", models_table),
    (MODELS, "survey", survey_table),
    (MODELS, "families", families_table),
    (MODELS.parent / "sam" / "README.md", "nodes", decoder_tables),
    (ROOT / "targets" / "README.md", "targets", targets_table),
    (ROOT / "targets" / "README.md", "profile", profile),
    (ROOT / "calibration" / "README.md", "sets", sets_table),
    (ROOT / "tests" / "README.md", "runtimes", runtimes_table),
    (ROOT / "edgekit" / "README.md", "packages", packages_table),
    (ROOT / "examples" / "README.md", "programs", programs_table),
]


def section_of(page: Path, heading: str) -> str:
    """What stands under a heading of the second level, up to the next."""
    if not page.is_file():
        pytest.skip(f"{page.relative_to(ROOT)} is not there")
    return page.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("page", "block", "content"), BLOCKS)
def test_tables_are_up_to_date(page: Path, block: str, content: Callable[[], str]) -> None:
    if not page.is_file():
        pytest.skip(f"{page.relative_to(ROOT)} is not there")
    text = page.read_text()
    between = re.compile(rf"(<!-- {block}: [^>]*-->\n)(.*?)(<!-- /{block} -->)", re.DOTALL)
    assert between.search(text), f"{page} has no block {block}"
    fresh = between.sub(lambda match: f"{match[1]}\n{content()}\n\n{match[3]}", text)
    if os.environ.get("UPDATE_README"):
        page.write_text(fresh)
    assert text == fresh or os.environ.get("UPDATE_README"), "UPDATE_README=1 writes it anew"


def test_the_front_page_stays_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_every_command_is_in_the_readme() -> None:
    import typer.main

    from edgekit.cli import app

    commands = typer.main.get_command(app).commands
    missing = {name for name in commands if f"`edgekit {name}" not in README.read_text()}
    assert not missing


def shown_commands() -> Iterator[tuple[Path, str]]:
    """Lines in code blocks that call edgekit, and calls within a sentence that have options."""
    for page in ALL:
        text = page.read_text()
        lines = re.findall(r"^ {4}(?:.* && )?(?:\S+/)?edgekit ([a-z].*)$", text, re.MULTILINE)
        lines += re.findall(r"`edgekit\s([^`]*\s--[^`]*)`", text)
        yield from ((page, line.partition(" #")[0]) for line in lines)


def test_the_commands_that_the_readmes_show_exist() -> None:
    import typer.main

    from edgekit.cli import app

    commands = typer.main.get_command(app).commands
    shown = list(shown_commands())
    assert len(shown) > 10
    for page, line in shown:
        name, *arguments = shlex.split(line)
        assert name in commands, f"{page}: {line}"
        command = commands[name]
        if arguments and arguments[0] in getattr(command, "commands", {}):
            command = command.commands[arguments[0]]
        known = {option for each in command.params for option in each.opts}
        used = {argument for argument in arguments if argument.startswith("-")}
        assert used <= {*known, "--help"}, f"{page}: {line}"


def test_ci_runs_the_readmes_commands() -> None:
    """By hand, before a commit and in CI: one command for the set-up, one to lint, one to test."""
    run, lint = (ROOT / ".ci" / "run").read_text(), (ROOT / ".ci" / "lint").read_text()
    for command in ("pip install -e '.[dev]'", "pytest"):
        assert command in README.read_text()
    assert "-e '.[dev]'" in run
    for command in (".ci/lint", "pytest"):
        assert re.search(rf"^{re.escape(command)}", run, re.MULTILINE), f".ci/run lacks {command}"
    for command in ("ruff check .", "ruff format --check .", "mypy", "lint-imports"):
        assert re.search(rf"^{re.escape(command)}", lint, re.MULTILINE), f".ci/lint lacks {command}"
    for user in (".pre-commit-config.yaml", ".github/workflows/ci.yml", ".github/CONTRIBUTING.md"):
        assert ".ci/lint" in (ROOT / user).read_text(), f"{user} lints in another way"


def slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        there = page.parent / link if link else page
        assert there.resolve().exists(), f"{page}: {link}"
        if anchor and there.is_file():
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page}: {link}#{anchor}"


def python_in(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_readmes_python_runs(
    nanosam_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's half; `examples/06_export_and_verify.py` is run in place of the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Predictor, "everything", partialmethod(Predictor.everything, grid=4))
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "nanosam-x86-fp32").symlink_to(nanosam_bundle)
    photo = catalog.image_set().photos[0].path
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    device, library = python_in(section_of(README, "From Python"))
    scope: dict[str, object] = {}
    exec(compile(device, "README.md", "exec"), scope)
    assert scope["masks"].shape[1:] == (640, 426)
    compile(library, "README.md", "exec")


@pytest.mark.slow
def test_the_model_that_the_readme_adds_is_exported_and_verified(
    tmp_path: Path, report, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from edgekit.pipeline import ExportRequest, VerifyRequest, export, verify

    source, *_ = python_in(section_of(MODELS, "Add a model"))
    (tmp_path / "shallowsam.py").write_text(source)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    rows = importlib.import_module("edgekit.models.families.shallowsam").ROWS
    monkeypatch.setattr(registry, "_ROWS", (*registry.models(), *rows))

    request = ExportRequest(
        model="shallowsam", target="x86-fp32", weights=("seeded",), out=tmp_path, verify=False
    )
    path = export(request, report=report).bundle.path
    photo = catalog.held_out_set().photos[0].path
    verdict = verify(VerifyRequest(bundle=path, photos=photo, weights=("seeded",)))
    assert verdict.passed, verdict.failures
