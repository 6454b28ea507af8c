"""Files and folders are complete or absent, whatever interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.errors import BadInput
from edgekit.store import atomic_dir, folders, write_atomic

STOPS = [RuntimeError("disk full"), KeyboardInterrupt(), SystemExit(1)]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def old_bundle(folder: Path) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / "old").write_text("old")
    return folder


def start_and_stop(final: Path, stop: BaseException) -> None:
    with atomic_dir(final, replace=True) as part:
        (part / "half").write_text("half")
        raise stop


def test_new_folder(tmp_path: Path) -> None:
    final = tmp_path / "dist" / "bundle"
    with atomic_dir(final, replace=False) as part:
        (part / "file").write_text("new")
        assert part.parent == final.parent  # the same disk: otherwise renaming would copy
        assert not final.exists()
    assert names_in(final) == ["file"]
    assert names_in(final.parent) == ["bundle"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "bundle", replace=False):
        pass
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "bundle").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("stop", STOPS, ids=repr)
def test_interrupted_build_leaves_nothing(tmp_path: Path, stop: BaseException) -> None:
    with pytest.raises(type(stop)):
        start_and_stop(tmp_path / "bundle", stop)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("stop", STOPS, ids=repr)
def test_interrupted_build_loses_nothing(tmp_path: Path, stop: BaseException) -> None:
    final = old_bundle(tmp_path / "bundle")
    with pytest.raises(type(stop)):
        start_and_stop(final, stop)
    assert names_in(tmp_path) == ["bundle"]
    assert names_in(final) == ["manifest.json", "old"]


def test_a_folder_is_replaced_only_when_complete(tmp_path: Path) -> None:
    final = old_bundle(tmp_path / "bundle")
    with atomic_dir(final, replace=True) as part:
        (part / "new").write_text("new")
        assert (final / "old").exists()
    assert names_in(final) == ["new"]
    assert names_in(tmp_path) == ["bundle"]


@pytest.mark.parametrize("interrupted", [1, 2])
def test_interrupt_during_a_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: int
) -> None:
    """If the second rename does not happen, the old folder is restored."""
    final = old_bundle(tmp_path / "bundle")
    monkeypatch.setattr(folders, "exchange", lambda *_: False)
    rename = Path.rename
    calls = 0

    def interrupt(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == interrupted:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt), atomic_dir(final, replace=True) as part:
        (part / "new").write_text("new")
    assert names_in(final) == ["manifest.json", "old"]
    assert names_in(tmp_path) == ["bundle"]


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("moment", range(6))
def test_a_kill_at_any_moment_leaves_the_old_folder_or_the_new(
    tmp_path: Path, moment: int, exchanges: bool
) -> None:
    """The bundle is three days old. Whoever writes beside it next must not sweep it either."""
    final = old_bundle(tmp_path / "bundle")
    os.utime(final, (time.time() - 260_000,) * 2)
    killed = run_and_kill(final, moment, exchanges=exchanges)
    with atomic_dir(tmp_path / "another", replace=False):
        pass
    whole = names_in(final)
    assert whole in (["manifest.json", "new"], ["manifest.json", "old"])
    assert killed or whole == ["manifest.json", "new"]
    assert names_in(tmp_path) == ["another", "bundle"]


def run_and_kill(final: Path, moment: int, *, exchanges: bool) -> bool:
    """Replace a folder in a process that dies at its n-th step; returns whether it came to that.

    Steps are the moments before and after each rename, exchange and removal.
    """
    script = (
        "import os, shutil, signal, sys\n"
        "from pathlib import Path\n"
        "from edgekit.store import folders\n"
        "left = int(sys.argv[2])\n"
        "def step():\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "def stepping(act):\n"
        "    def stepped(*a, **k):\n"
        "        step(); done = act(*a, **k); step(); return done\n"
        "    return stepped\n"
        "with folders.atomic_dir(Path(sys.argv[1]), replace=True) as part:\n"
        "    (part / 'manifest.json').write_text('{}'); (part / 'new').write_text('new')\n"
        "    Path.rename = stepping(Path.rename); shutil.rmtree = stepping(shutil.rmtree)\n"
        "    swap = folders.exchange if sys.argv[3] == 'True' else lambda *_: False\n"
        "    folders.exchange = stepping(swap)\n"
    )
    command = [sys.executable, "-c", script, str(final), str(moment), str(exchanges)]
    return subprocess.run(command, check=False).returncode == -signal.SIGKILL


@pytest.mark.slow
def test_exports_of_one_pair_at_the_same_time(tmp_path: Path) -> None:
    """One of eight is first; the others say so and leave nothing."""
    script = (
        "import sys; from pathlib import Path; from edgekit.errors import BadInput\n"
        "from edgekit.store import atomic_dir\n"
        "try:\n"
        "    with atomic_dir(Path(sys.argv[1]), replace=False) as part:\n"
        "        (part / 'file').write_text('x'); print('ready', flush=True); sys.stdin.read(1)\n"
        "except BadInput as error: sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bundle")]
    pipe = subprocess.PIPE
    exports = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(8)
    ]
    for process in exports:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    answers = [process.communicate("\n", timeout=20)[1] for process in exports]
    assert sorted(process.returncode for process in exports) == [0, *[1] * 7]
    assert sum("another export made it first" in answer for answer in answers) == 7
    assert names_in(tmp_path) == ["bundle"]


def test_control_c_in_another_process(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from edgekit.store import atomic_dir\n"
        "with atomic_dir(Path(sys.argv[1]), replace=False) as part:\n"
        "    (part / 'half').write_text('half'); print('filling', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "dist" / "bundle")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "filling\n"
        assert len(names_in(tmp_path / "dist")) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
    assert names_in(tmp_path / "dist") == []


def test_existing_folder_needs_force(tmp_path: Path) -> None:
    final = old_bundle(tmp_path / "bundle")
    with pytest.raises(BadInput, match="--force"), atomic_dir(final, replace=False):
        pytest.fail("the block must not run")
    assert names_in(final) == ["manifest.json", "old"]


def test_folder_that_is_not_a_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    with pytest.raises(BadInput, match="not a bundle"), atomic_dir(tmp_path / "home", replace=True):
        pytest.fail("the block must not run")
    assert names_in(tmp_path / "home") == ["thesis.tex"]


def test_empty_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with atomic_dir(tmp_path / "bundle", replace=True) as part:
        (part / "new").write_text("new")
    assert names_in(tmp_path / "bundle") == ["new"]


def test_folder_that_another_export_made_meanwhile_is_kept(tmp_path: Path) -> None:
    final = tmp_path / "bundle"
    with pytest.raises(BadInput, match="in its place"), atomic_dir(final, replace=False):
        old_bundle(final)
    assert names_in(final) == ["manifest.json", "old"]
    assert names_in(tmp_path) == ["bundle"]


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("a file")
    with pytest.raises(BadInput, match="is a file"), atomic_dir(tmp_path / "bundle", replace=True):
        pytest.fail("the block must not run")
    with (
        pytest.raises(BadInput, match="cannot write"),
        atomic_dir(tmp_path / "bundle" / "inner", replace=True),
    ):
        pytest.fail("the block must not run")


def test_name_too_long_for_a_file_system(tmp_path: Path) -> None:
    with (
        pytest.raises(BadInput, match="cannot write"),
        atomic_dir(tmp_path / ("n" * 300), replace=False),
    ):
        pytest.fail("the block must not run")


def test_link_is_followed_and_stays(tmp_path: Path) -> None:
    real = old_bundle(tmp_path / "real")
    (tmp_path / "link").symlink_to(real, target_is_directory=True)
    with atomic_dir(tmp_path / "link", replace=True) as part:
        (part / "new").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert names_in(real) == ["new"]


@pytest.mark.parametrize("locks", [True, False])
def test_leftovers_of_killed_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    """At once, or after a day where the file system has no locks."""
    if not locks:
        monkeypatch.setattr(folders, "lock", lambda _: folders.UNKNOWN)
    old, fresh, foreign = (
        tmp_path / ".a.00000000.edgekit-tmp",
        tmp_path / ".b.00000000.edgekit-tmp",
        tmp_path / ".c.part",
    )
    for folder in (old, fresh, foreign):
        folder.mkdir()
    for folder in (old, foreign):
        os.utime(folder, (time.time() - 90_000,) * 2)
    with atomic_dir(tmp_path / "bundle", replace=False):
        pass
    assert names_in(tmp_path) == [*([] if locks else [fresh.name]), foreign.name, "bundle"]


def test_a_folder_that_another_process_fills_is_left_alone(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "one", replace=False) as part:
        os.utime(part, (time.time() - 260_000,) * 2)
        with atomic_dir(tmp_path / "other", replace=False):
            pass
        (part / "file").write_text("x")
    assert names_in(tmp_path) == ["one", "other"]


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, swept = folders.lock, []

    def sweep_first(folder: Path) -> int | None:
        if not swept:
            swept.append(folder)
            folder.rmdir()
        return take(folder)

    monkeypatch.setattr(folders, "lock", sweep_first)
    with atomic_dir(tmp_path / "bundle", replace=False) as part:
        assert part.is_dir()
    assert names_in(tmp_path) == ["bundle"]


@pytest.mark.parametrize("content", ["grün\n", b"\x00\xff"])
def test_write_atomic(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "file").write_text("old")
    write_atomic(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == (
        content.encode() if isinstance(content, str) else content
    )
    assert names_in(tmp_path) == ["file"]


def test_write_atomic_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for place in ("gone/file", "file/inner", "folder", "n" * 300):
        with pytest.raises(BadInput, match="cannot write"):
            write_atomic(tmp_path / place, "text")
    assert names_in(tmp_path) == ["file", "folder"]


def test_write_atomic_never_takes_the_place_of_a_device_or_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for name in ("pipe", "null"):
        with pytest.raises(BadInput, match="is a device or a pipe"):
            write_atomic(tmp_path / name, "text")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "null").is_char_device()
    assert names_in(tmp_path) == ["null", "pipe"]
