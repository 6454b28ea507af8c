"""The commands as a whole: `--help` and `--version`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgekit import __version__

COMMANDS = (
    "models",
    "detect",
    "targets",
    "export",
    "verify",
    "predict",
    "inspect",
    "bench",
    "evaluate",
    "matrix",
    "train",
    "doctor",
    "cache",
)


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['edgekit', '--help']\n"
        "from edgekit.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'torch', 'onnx', 'pydantic', 'PIL', 'rich', 'openvino'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_version(run):
    assert run("--version").stdout == f"edgekit {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout
