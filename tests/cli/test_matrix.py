"""`edgekit matrix` on the command line, over cells without models."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import edgekit
from edgekit.matrix import read_results
from edgekit.matrix.config import read_config
from edgekit.matrix.fleets import routes
from edgekit.matrix.workflow import WORKFLOW
from tests.matrix.fakes import FakeFleet, export_error, missed, passed

PAIRS = ("--models", "nanosam", "--targets", "x86-fp32,jetson-fp16", "--weights", "seeded")
FAILING = {"nanosam/x86-fp32": missed()}
UNABLE = {"nanosam/x86-fp32": export_error("RuntimeMissing", "torch is missing\nNext: pip")}
EMULATED = {"nanosam/jetson-fp16": passed(how="emulated")}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fleet(monkeypatch):
    """`fleet(outcomes)` in place of this machine; returns it and the limits it was made with."""

    def use(outcomes=None, *, machine="a machine") -> FakeFleet:
        made = FakeFleet(outcomes, machine=machine)

        def local_fleet(limits, label):
            made.limits, made.label = limits, label
            return made

        monkeypatch.setattr(routes, "LocalFleet", local_fleet)
        return made

    return use


@pytest.mark.parametrize(
    ("outcomes", "code", "told"),
    [
        (EMULATED, 0, "1 passed native, 1 passed emulated"),
        (FAILING, 1, "minimum IoU 0.50000 is below 0.99"),
        (UNABLE, 3, "torch is missing"),
    ],
)
def test_exit_codes_and_the_table(run, fleet, outcomes, code, told):
    fleet(outcomes)
    result = run("matrix", *PAIRS)
    assert result.exit_code == code
    assert told in result.stdout
    assert "Next: pip" not in result.stdout, "one line per cell"
    assert len(list(read_results(Path("matrix-results")))) == 2


def test_results_of_another_machine_are_named_after_it(run, fleet):
    fleet()
    run("matrix", *PAIRS, "--host", "jetson-orin")
    fleet(machine="another machine")
    told = json.loads(run("matrix", "--json").stdout)
    assert {cell["host"] for cell in told["cells"]} == {"jetson-orin"}
    assert told["counts"] == {"passed native": 2}, "of another machine, so not stale"


def test_progress_is_on_stderr(run, fleet):
    fleet()
    told = run("matrix", *PAIRS, "--json").stderr
    assert "2 cells to run" in told
    assert "running  nanosam for jetson-fp16" in told
    assert "ended    nanosam for jetson-fp16: passed native, 4 s; 1 left, until about " in told
    assert run("matrix", *PAIRS).stderr == "0 cells to run\n"


def test_json(run, fleet):
    fleet(FAILING)
    told = json.loads(run("matrix", *PAIRS, "--json").stdout)
    assert told["exit_code"] == 1
    assert told["counts"] == {"passed native": 1, "gate failed": 1}
    assert told["changes"] is None
    (jetson, x86) = told["cells"]
    assert (jetson["model"], jetson["target"], jetson["weights"]) == (
        "nanosam",
        "jetson-fp16",
        "seeded",
    )
    assert x86["reason"] == "minimum IoU 0.50000 is below 0.99"
    assert x86["result"]["verdict"]["overall"]["min_iou"] == 0.5


def test_a_report_and_what_changed(run, fleet):
    fleet()
    run("matrix", *PAIRS, "--results", "before")
    fleet(FAILING)
    result = run("matrix", *PAIRS, "--against", "before", "--report", "report")
    assert "new failure: nanosam for x86-fp32: passed native to gate failed" in result.stdout
    names = {path.name for path in Path("report").iterdir()}
    assert names == {"report.html", "summary.md", "junit.xml", "cells.csv"}
    assert "new failure" in Path("report/summary.md").read_text()
    shown = run("matrix", "--results", "before", "--against", "before")
    assert "Nothing changed" in shown.stdout


CONFIG = """
models = ["nanosam", "mobilesam"]
targets = ["x86-fp32"]
measure = ["verify", "bench"]
results = "mine"
timeout = 90
memory = 12.5

[weights]
"*" = ["seeded"]
mobilesam = ["seeded:3"]
"""


def test_a_configuration_and_options_that_override_it(run, fleet, folder):
    (folder / "matrix.toml").write_text(CONFIG)
    made = fleet()
    assert run("matrix", "matrix.toml", "--timeout", "60").exit_code == 0
    assert made.ran == ["nanosam/x86-fp32", "mobilesam/x86-fp32"]
    assert (made.limits.seconds, made.limits.bytes) == (60, 12_500_000_000)
    weights = {result.cell.model: result.cell.weights for result in read_results(Path("mine"))}
    assert weights == {"nanosam": ("seeded",), "mobilesam": ("seeded:3",)}
    assert all(result.bench for result in read_results(Path("mine")))
    other = fleet()
    run("matrix", "matrix.toml", "--models", "nanosam", "--targets", "x86-int8", "--results", "o")
    assert other.ran == ["nanosam/x86-int8"]


def test_the_readmes_configuration_reads(folder):
    page = Path(edgekit.__file__).with_name("README.md").read_text()
    (text,) = re.findall(r"```toml\n(models.*?)```", page, re.DOTALL)
    (folder / "matrix.toml").write_text(text)
    config = read_config(folder / "matrix.toml")
    assert all(getattr(config, name) for name in ("models", "targets", "measure", "weights"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("modles = []", "modles: unknown key"),
        ('models = "nanosam"', "models: expected a list"),
        ('measure = ["speed"]', "measure.0"),
        ("models = [", "matrix.toml"),
        ('timeout = "long"', "timeout"),
        (
            "timeout = -1.0\nmemory = 0.0",
            "timeout: must be above 0, and at most 10,000,000; memory",
        ),
        ("memory = 1e300", "memory: must be above 0, and at most 1,000,000"),
        ("timeout = inf", "timeout: Input should be a finite number"),
        ('models = [""]\ntargets = ["x86-fp32"]', "--models '' names no model"),
        ('measure = ["bench"]', "measure: verify is missing"),
        ('[weights]\nnanosma = ["seeded"]', "nanosma"),
        ('[weights]\n"*" = ["a.pt"]', "'a.pt' are given for all models"),
    ],
)
def test_a_configuration_that_does_not_read(run, fleet, folder, text, named):
    (folder / "matrix.toml").write_text(text)
    asked = () if text.startswith("models = [") else PAIRS[:4]
    result = run("matrix", "matrix.toml", *asked)
    assert result.exit_code == 2
    assert named in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--models", "nanosma", "--targets", "all"), "did you mean nanosam"),
        (("--models", "nanosam", "--targets", "x87-*"), "did you mean x86-*"),
        (("--models", "nanosam"), "--targets is missing"),
        ((*PAIRS, "--shard", "2"), "--shard 2"),
        ((*PAIRS, "--measure", "bench"), "without a verdict"),
        ((*PAIRS, "--against", "nowhere"), "There is no folder nowhere"),
        ((*PAIRS, "--weights", "mobile_sam.pt"), "are given for all models"),
        (("none.toml",), "none.toml"),
        ((), "There is no folder matrix-results"),
        ((*PAIRS, "--timeout", "0"), "--timeout"),
        ((*PAIRS, "--timeout", "inf"), "--timeout"),
        ((*PAIRS, "--memory", "inf"), "--memory"),
        ((*PAIRS, "--memory", "1e300"), "--memory"),
        (("--models", ",", "--targets", "all"), "names no model"),
        ((*PAIRS[:4], "--weights", "nanosam="), "The weights of nanosam are empty"),
        ((*PAIRS[:4], "--weights", "nanosam=seeded:" + "9" * 5000), "at most 18 digits"),
        ((*PAIRS, "--report", "file"), "The folder file cannot be written: File exists"),
        ((*PAIRS, "--json", "a.json", "--json"), "--json is given more than once"),
        (("--shard", "1/2", "--timeout", "5"), "--timeout, --shard is for a run"),
        (("--photos", "p", "--weights", "seeded"), "--weights, --photos is for a run"),
    ],
)
def test_wrong_usage(run, fleet, arguments, told):
    made = fleet()
    Path("file").touch()
    result = run("matrix", *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert made.ran == []


def test_a_report_without_jinja_is_refused_before_the_first_cell(run, fleet, monkeypatch):
    made = fleet()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = run("matrix", *PAIRS, "--report", "report")
    assert result.exit_code == 3
    assert "pip install 'edgekit[report]'" in result.stderr
    assert made.ran == []


INIT = ("matrix", "--init-ci", "github", "--action", "acme/edgekit@v1")


def test_a_workflow_for_a_repository(run, fleet, folder):
    made = fleet()
    (folder / "ours.toml").write_text(CONFIG)
    targets = ("--targets", "x86-*,jetson-*", "--measure", "verify")
    assert "Wrote .github/workflows/" in run(*INIT, "ours.toml", *targets).stdout
    text = WORKFLOW.read_text()
    assert made.ran == []
    for line in (
        "runs-on: [self-hosted, jetson-orin]",
        "targets: jetson-fp16,jetson-int8",
        "targets: jetson-nano-fp16,x86-bf16,x86-fp32,x86-int8,x86-ort-fp32,x86-ort-int8",
        "uses: acme/edgekit/.github/actions/edgekit@v1",
        'models: "nanosam,mobilesam"',
        'config: "ours.toml"',
        'results: "mine"',
        "measure: verify",
    ):
        assert f"{line}\n" in text
    WORKFLOW.write_text("changed")
    assert "is there already" in run(*INIT).stderr
    assert WORKFLOW.read_text() == "changed"


def test_a_workflow_for_one_machine_needs_no_page(run):
    assert run(*INIT).exit_code == 0
    text = WORKFLOW.read_text()
    assert 'models: "canary"' in text
    assert "self-hosted" in text, "the canary targets have one of TensorRT"
    WORKFLOW.unlink()
    run(*INIT, "--targets", "iphone-*")
    assert "page:" in text
    assert "page:" not in WORKFLOW.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*INIT, "--models", "nanosma"), "did you mean nanosam"),
        ((*INIT, "--targets", "jetsn-*"), "did you mean jetson-*"),
        ((*INIT[:2], "gitlab"), "'gitlab' is not"),
        ((*INIT, "--json", "a.json", "--host", "b"), "does not go with --host, --json"),
        (INIT[:3], "needs both --init-ci and --action"),
        ((*INIT[:4], "acme/edgekit"), "OWNER/edgekit@REF"),
        ((*INIT[:4], "../..@v1"), "OWNER/edgekit@REF"),
        ((*INIT[:4], "acme/edgekit@-v1"), "OWNER/edgekit@REF"),
        ((*INIT, "--models", "nano[s${{ github.token }}]am"), "cannot use the models"),
        ((*INIT, "--results", "../results"), "cannot use the path '../results'"),
        ((*INIT, "--weights", "seeded", "--shard", "1/2"), "does not go with --weights, --shard"),
        (("matrix", "--action", "acme/edgekit@v1"), "needs both --init-ci and --action"),
    ],
)
def test_a_workflow_that_cannot_be_written(run, arguments, told):
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert not WORKFLOW.exists()


def test_a_workflow_without_jinja(run, monkeypatch):
    monkeypatch.setattr("edgekit.matrix.workflow.find_spec", lambda _: None)
    assert "pip install 'edgekit[report]'" in run(*INIT).stderr


def test_a_fleet_without_a_worker_for_a_target_costs_only_its_cells(run, fleet, folder):
    fleet()
    (folder / "workers.toml").write_text(
        '[[worker]]\nname = "here"\nkind = "local"\nlabels = ["x86"]\n'
    )
    result = run("matrix", *PAIRS, "--fleet", "workers.toml")
    assert result.exit_code == 3
    assert "1 passed native, 1 could not run" in result.stdout


def test_a_fleet_that_cannot_be_read(run, folder):
    (folder / "workers.toml").write_text('[[worker]]\nname = "orin"\nkind = "ssh"\nhots = "orin"\n')
    result = run("matrix", *PAIRS, "--fleet", "workers.toml")
    assert result.exit_code == 2
    assert "worker.0.hots: unknown key" in result.stderr
