"""Damaged input ends in success or in one message: no traceback, hang or gigabytes.

EDGEKIT_FUZZ sets the number of mutations of each kind (8), EDGEKIT_FUZZ_SEED their seed.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgekit.catalog import tables
from edgekit.cli import app
from edgekit.store import sha256_of
from tests.fuzz.conftest import annotations, encoded
from tests.fuzz.mutations import damaged_bytes, damaged_json, damaged_text, damaged_toml

MUTATIONS = int(os.environ.get("EDGEKIT_FUZZ", "8"))
SEED = int(os.environ.get("EDGEKIT_FUZZ_SEED", "14"))
HANG_S = 20
START_S = 40  # for a process to import
MOST_BYTES = 2 * 2**30
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "TIFF16", "GIF", "BMP", "AVIF", "HEIC")
"""As `encoded` writes them."""
POINT = ("--point", "50,30", "--json")


class Hang(BaseException):
    """Not an Exception, so that no handler takes it for an error of the command."""


def command(*arguments: object) -> int:
    """Run a command; its exit code is one of success or of an error of the user.

    Raises:
        AssertionError: it was a bug, an exception, or took too long.
    """

    def hang(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(HANG_S)
    try:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2, 3), result.output
    assert "\x1b" not in result.output
    return result.exit_code


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """The memory that the tests before this one took is not counted."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    counted = reset.exists() and os.access(reset, os.W_OK)
    if counted:
        reset.write_text("5")
    before = _resident(status, "VmRSS") if counted else 0
    yield
    if counted:
        peak = _resident(status, "VmHWM")
        print(f"peak {peak / 1e6:.0f} MB")  # noqa: T201 - shown with -s
        assert peak - before < MOST_BYTES


def _resident(status: Path, name: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def each(kind: str) -> Iterator[random.Random]:
    """A chance for each mutation. The last seed printed is that of a failure."""
    for number in range(MUTATIONS):
        print(seed := f"{SEED}-{kind}-{number}")  # noqa: T201 - shown for a failed test
        yield random.Random(seed)


def tally(kind: str, codes: list[int]) -> None:
    counts = {code: codes.count(code) for code in sorted(set(codes))}
    print(f"{kind}: exit codes {counts}")  # noqa: T201 - shown with -s


Damage = Callable[[random.Random, Path], None]


def fuzz(kind: str, bundle: Path, photo: Path, damage: Damage) -> None:
    """Damage a copy of the bundle again and again, and open it with two commands."""
    codes = []
    for chance in each(kind):
        copy = bundle.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bundle, copy)
        damage(chance, copy)
        codes += [command("inspect", copy), command("predict", copy, photo, *POINT)]
    tally(kind, codes)


def test_the_whole_input_is_taken(tiny: Path, photo: Path, coco: Path) -> None:
    assert command("inspect", tiny) == 0
    assert command("predict", tiny, photo, *POINT, "--multimask") == 0
    assert command("predict", tiny, photo, "--box", "10,10,50,50") == 0
    assert command("evaluate", tiny, coco) == 0


def test_manifests(tiny: Path, photo: Path) -> None:
    def damage(chance: random.Random, bundle: Path) -> None:
        file = bundle / "manifest.json"
        file.write_bytes(damaged_json(chance, file.read_bytes()))

    fuzz("manifest", tiny, photo, damage)


@pytest.mark.slow
def test_files_of_a_bundle(tiny: Path, photo: Path) -> None:
    """Their digests are those of the manifest, so no runtime opens them."""

    def damage(chance: random.Random, bundle: Path) -> None:
        names = ("encoder.onnx", "decoder.onnx", "golden/prompts.json")
        file = bundle / chance.choice(names)
        file.write_bytes(damaged_bytes(chance, file.read_bytes()))

    fuzz("files", tiny, photo, damage)


@pytest.mark.slow
def test_zips(tiny: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    archive, codes = tmp_path / "bundle.zip", []
    for chance in each("zip"):
        with zipfile.ZipFile(archive, "w", chance.choice((0, 8, 12, 14))) as opened:
            for file in sorted(tiny.rglob("*")):
                name = f"{chance.choice(['', '', 'top/'])}{file.relative_to(tiny).as_posix()}"
                content = file.read_bytes() if file.is_file() else b""
                if chance.random() < 0.1:
                    content = damaged_bytes(chance, content)
                opened.writestr(name, content)
        archive.write_bytes(damaged_bytes(chance, archive.read_bytes()))
        codes += [command("inspect", archive), command("predict", archive, photo, *POINT)]
    tally("zip", codes)


@pytest.fixture
def coco(photo: Path) -> Path:
    file = photo.with_name("instances.json")
    file.write_bytes(annotations(photo))
    return file


def test_coco(tiny: Path, photo: Path, coco: Path) -> None:
    whole, codes = coco.read_bytes(), []
    for chance in each("coco"):
        coco.write_bytes(damaged_json(chance, whole))
        codes.append(command("evaluate", tiny, coco))
    tally("coco", codes)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_photos(tiny: Path, tmp_path: Path, form: str) -> None:
    whole, codes, file = encoded(form), [], tmp_path / "photo.jpg"
    for chance in each(f"photo-{form}"):
        file.write_bytes(damaged_bytes(chance, whole))
        codes.append(command("predict", tiny, file, *POINT))
    tally(form, codes)


def test_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [file.read_bytes() for file in sorted(tables.table_dir("targets").glob("*.toml"))]
    monkeypatch.setattr(tables, "_PACKAGE", tmp_path / "edgekit")
    file, codes = tmp_path / "targets" / "board.toml", []
    file.parent.mkdir()
    for chance in each("target"):
        file.write_bytes(damaged_toml(chance, chance.choice(whole)))
        codes += [command("targets", "board"), command("targets", "--json")]
    tally("target", codes)


def test_prompts(tiny: Path, photo: Path) -> None:
    codes = []
    for chance in each("prompt"):
        given = [f"--box={damaged_text(chance, '10,10,50,50')}"] * chance.choice([0, 1, 1, 3])
        given += [f"--point={damaged_text(chance, '50,30,1')}"] * chance.choice([0, 1, 2])
        more = chance.choice([["--json"], ["--multimask"], []])
        codes.append(command("predict", tiny, photo, *given, *more))
    tally("prompt", codes)


# --- files whose digests are right ----------------------------------------------------------------

CHILD = """
import json, sys
from pathlib import Path
from edgekit.cli import app
from typer.testing import CliRunner
for line in sys.stdin:
    result = CliRunner().invoke(app, json.loads(line))
    failed = result.exception and not isinstance(result.exception, SystemExit)
    told = repr(result.exception if failed else result.output[-300:])
    print(70 if failed else result.exit_code, told, flush=True)
"""


class Child:
    """A process that runs commands, since a runtime may crash on a damaged file or never return."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *arguments: object) -> int | str:
        """The exit code, or how the process died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([*map(str, arguments)]) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], HANG_S + START_S)
        if not ready:
            raise Hang
        answer = self._process.stdout.readline()
        if not answer:
            return signal.Signals(-self._process.wait()).name
        code, _, error = answer.partition(" ")
        if (status := Path(f"/proc/{self._process.pid}/status")).exists():
            assert _resident(status, "VmHWM") < MOST_BYTES
        assert code in {"0", "1", "2", "3"}, error
        return int(code)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.mark.parametrize(
    "target", ["x86-ort-fp32", "x86-fp32", pytest.param("android-fp32", marks=pytest.mark.slow)]
)
def test_model_files(made_for: Callable[[str], Path], photo: Path, target: str) -> None:
    """A runtime's own crashes are counted: whoever writes the digests may write the graph, too."""
    bundle = made_for(target)
    codes: list[int | str] = []
    child = Child()
    try:
        assert child.run("predict", bundle, photo, *POINT) == 0
        for chance in each(f"model-{target}"):
            copy = bundle.with_name("copy")
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(bundle, copy)
            damage_model(chance, copy)
            codes.append(child.run("predict", copy, photo, *POINT))
            if isinstance(codes[-1], str):
                child.close()
                child = Child()
    finally:
        child.close()
    print(f"{target}: {Counter(codes)}")  # noqa: T201 - shown with -s


def damage_model(chance: random.Random, bundle: Path) -> None:
    """Damage one file of a graph, and write its digest and size into the manifest."""
    document = json.loads((bundle / "manifest.json").read_text())
    listed = chance.choice(chance.choice(document["artifacts"])["files"])
    file = bundle / listed["path"]
    file.write_bytes(damaged_bytes(chance, file.read_bytes()))
    listed |= {"sha256": sha256_of(file), "bytes": file.stat().st_size}
    (bundle / "manifest.json").write_text(json.dumps(document))
