"""How a command ends: what a user can cause never looks like a bug, which ends with 70."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from edgekit import pipeline
from edgekit.cli import app
from edgekit.cli.exits import BUG
from edgekit.errors import EdgekitError, RuntimeMissing

NANOSAM = ("export", "nanosam", "-t", "x86-fp32")
DEFECTS = (
    ZeroDivisionError("ours"),
    ModuleNotFoundError("our typo", name="edgekit.grpah"),
    FileNotFoundError(2, "No such file", "x"),
    RuntimeError(),
    AssertionError("first\nsecond \x1b]0;title\x07"),
)


def failing(exports, error: BaseException, *options: str, env=None):
    exports(x86_fp32=error)
    return CliRunner().invoke(app, [*NANOSAM, *options], env=env)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: type(defect).__name__)
def test_a_bug_is_one_line_and_exit_code_70(exports, defect):
    result = failing(exports, defect)
    assert result.exit_code == BUG == 70
    line = next(line for line in result.stderr.splitlines() if "has a bug" in line)
    assert line.startswith(f"edgekit has a bug: {type(defect).__name__}: ")
    assert "Please report it: " in line
    assert line.endswith("run again with --debug for the traceback")
    assert "Traceback" not in result.output
    assert "second" not in result.output
    assert "\x1b]" not in result.output


@pytest.mark.parametrize(("before", "after"), [(("--debug",), ()), ((), ("--debug",))])
def test_debug_shows_the_traceback_wherever_it_stands(exports, before, after):
    exports(x86_fp32=ZeroDivisionError("ours"))
    result = CliRunner().invoke(app, [*before, *NANOSAM, *after])
    assert result.exit_code == BUG
    assert "Traceback" in result.stderr


def test_the_environment_shows_the_traceback(exports):
    result = failing(exports, ZeroDivisionError("ours"), env={"EDGEKIT_DEBUG": "1"})
    assert "Traceback" in result.stderr


@pytest.mark.parametrize("command", ["verify", "bench", "evaluate"])
def test_every_command_ends_so(monkeypatch, command, tmp_path):
    def break_down(*_, **__):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(pipeline, command, break_down)
    more = [str(tmp_path / "a.json")] if command == "evaluate" else []
    assert CliRunner().invoke(app, [command, "bundle", *more]).exit_code == BUG


def test_the_help_lists_the_exit_code():
    assert "70 a bug of" in " ".join(CliRunner().invoke(app, ["--help"]).output.split())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EFBIG, "File too large"), "File too large"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded"),
        (OSError(errno.ENOSPC, "No space left", "dist/x"), "No space left: dist/x"),
        (OSError(errno.ELOOP, "Too many links", "a"), "Too many links: a"),
        (RuntimeError("PytorchStreamWriter failed writing file data/1"), "could not be written"),
        (MemoryError(), "not enough memory"),
        (ValueError("embedded null byte"), "NUL"),
        (UnicodeEncodeError("utf-8", "a\udce9", 1, 2, "surrogates not allowed"), "UTF-8"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_disk_or_a_name_causes_is_one_message(exports, error, words):
    result = failing(exports, error)
    assert result.exit_code == 2
    assert result.stderr.count("error: ") == 1
    assert words in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "~nouser/b"),
        ("verify", "~nouser/b"),
        ("verify", "BUNDLE", "--photos", "~nouser/p"),
        ("export", "nanosam", "-t", "x86-fp32", "--out", "~nouser/x"),
        ("export", "nanosam", "-t", "x86-fp32", "--out", "new", "--weights", "~nouser/x.pt"),
        ("export", "nanosam", "-t", "x86-fp32", "--calibration", "~nouser/x"),
    ],
)
def test_a_home_that_nobody_has(run, bundle, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    result = run(*(bundle if word == "BUNDLE" else word for word in arguments))
    assert result.exit_code == 2
    assert "no home folder for '~nouser'" in result.stderr


def test_a_cache_in_a_home_that_nobody_has(run):
    result = run("cache", "verify", env={"EDGEKIT_CACHE": "~nouser/c"})
    assert result.exit_code == 2
    assert "~nouser" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("predict", "b", "p.jpg", "--point", "5,5", "--out", ""), "value of --out is empty"),
        (("predict", "b", "p.jpg", "--point", "5,5", "--out="), "value of --out is empty"),
        (("export", "nanosam", "-t", "x86-fp32", "--out", ""), "value of --out is empty"),
        (("export", "nanosam", "-t", "x86-fp32", "--weights", ""), "value of --weights is empty"),
        (("inspect", ""), "argument is empty"),
        (("detect", ""), "argument is empty"),
        (("detect", "a\0b"), "not UTF-8"),
        (("inspect", "o\udce9"), "o\\udce9"),
        (("export", "nanosam", "-t", "x86-fp32", "--out", "o\udce9"), "not UTF-8"),
        (("predict", "b", "o\udce9.jpg", "--point", "5,5"), "not UTF-8"),
    ],
)
def test_names_that_name_no_file(run, arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.slow
def test_a_working_directory_that_was_removed(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    program = (
        "import os, sys; os.rmdir(os.getcwd())\n"
        "from edgekit.cli import main\n"
        "sys.argv = ['edgekit', 'inspect', 'b']; main()"
    )
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=gone,
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "working directory does not exist" in done.stderr


def test_every_error_has_its_exit_code(run, exports):
    error = RuntimeMissing("no runtime", expected="one", next_step="pip install it")
    exports(x86_fp32=error)
    result = run(*NANOSAM)
    assert result.exit_code == 3
    assert result.stderr.endswith("error: no runtime\nExpected: one\nNext: pip install it\n")


def test_a_permission_error_is_one_message(run, exports):
    exports(x86_fp32=PermissionError(13, "Permission denied", "/somewhere/dist"))
    result = run(*NANOSAM)
    assert result.exit_code == 2
    assert "error: Permission denied: /somewhere/dist" in result.stderr


def test_exit_codes():
    def codes(of: type[EdgekitError]) -> set[int]:
        return {of.exit_code}.union(*(codes(child) for child in of.__subclasses__()))

    assert codes(EdgekitError) <= {1, 2, 3}


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_prints_one_line_and_exits_with_the_signals_code(sent, code):
    program = (
        "import sys, time\n"
        "from edgekit import pipeline\n"
        "def export(request, *, report):\n"
        "    print('started', flush=True)\n"
        "    time.sleep(60)\n"
        "pipeline.export = export\n"
        "sys.argv = ['edgekit', 'export', 'nanosam', '-t', 'x86-fp32']\n"
        "from edgekit.cli import main\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "started\n"
        os.kill(process.pid, sent)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert stderr.strip() == "Interrupted. No incomplete files were left behind."
