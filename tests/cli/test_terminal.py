"""Text of files reaches the terminal literally: control characters and markup have no effect."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgekit import pipeline, store
from edgekit.cli.console import json_text
from edgekit.store import escaped
from tests.manifests import change_manifest

HOSTILE = (
    "\x1b[2J\x1b[1;1H",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\link",
    "\x9b31m",
    "a\rb\x08c",
    "\u202egpj.exe",
    "\x00\x7f",
    "[/bold]",
    "[bold red]PASSED[/]",
    "[link=http://evil]x[/link]",
    ":smiley:",
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]")


@pytest.fixture(params=HOSTILE, ids=ascii)
def text(request) -> str:
    return request.param


def fill(text: str):
    """Put the text wherever a manifest takes free text."""

    def alter(manifest) -> None:
        for key in ("title", "family", "variant", "licence", "edgekit", "created"):
            manifest[key] = text
        manifest["tools"] = {text: text}
        manifest["weights"] |= {"warning": text, "licence": text}
        manifest["target"]["device"] = text
        for artifact in manifest["artifacts"]:
            artifact["ops"] = {text: 3}
            artifact["inputs"].append({"name": text, "dtype": "float32", "shape": [1, text]})

    return alter


def printed(result, text: str, *, code: int = 0) -> str:
    assert result.exit_code == code, result.output
    assert not CONTROL.search(result.output)
    return re.sub(r"\s", "", result.output)


def as_shown(text: str) -> str:
    return re.sub(r"\s", "", escaped(text))


def test_inspect(run, bundle, text):
    change_manifest(bundle, fill(text))
    assert as_shown(text) in printed(run("inspect", bundle), text)


def test_inspect_as_data(run, bundle, text):
    change_manifest(bundle, fill(text))
    result = run("inspect", bundle, "--json")
    printed(result, text)
    assert json.loads(result.stdout)["title"] == text


@pytest.mark.parametrize("where", ["title", "nosuchkey"])
def test_a_refused_manifest(run, bundle, text, where):
    change_manifest(bundle, lambda manifest: manifest.update({"target": text, text: where}))
    printed(run("inspect", bundle), text, code=2)


def test_the_warning_of_predict(run, bundle, photo, left_half, text):
    change_manifest(bundle, fill(text))
    result = run("predict", bundle, photo, "--point", "5,5")
    assert as_shown(text) in printed(result, text)


def test_a_verdict(run, bundle, text, monkeypatch, verdict):
    monkeypatch.setattr(pipeline, "verify", warning_verdict(text, verdict(1.0)))
    assert as_shown(text)[:8] in printed(run("verify", bundle), text)


def warning_verdict(text: str, outcome):
    def verify(request, *, report):
        report.warning(text)
        return outcome

    return verify


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".onnx"])
def test_detect(run, tmp_path, text, suffix):
    name = text.replace("/", "").replace("\0", "")
    file = tmp_path / f"{name}{suffix}"
    file.write_bytes(b"no checkpoint")
    printed(run("detect", file), text, code=2)


def test_an_error(run, exports, text):
    from edgekit.errors import BadInput

    exports(x86_fp32=BadInput(text, expected=text, next_step=text))
    result = run("export", "nanosam", "-t", "x86-fp32")
    assert as_shown(text) in printed(result, text, code=2)


def test_models(run):
    assert "[" not in escaped("a\nb")
    printed(run("models"), "")


def test_json_is_unchanged_by_escapes():
    value = {"text": "".join(HOSTILE) + "é漢\U0001f600\udce9"}
    assert json.loads(json_text(value)) == value


def test_only_one_module_prints():
    """`say`, `console` and `write_json` show text literally; a command that echoes might not."""
    commands = Path(store.__file__).parents[1] / "cli" / "commands"
    for file in commands.glob("*.py"):
        assert "typer.echo" not in file.read_text(), file.name
