"""Atomic files and folders: they are complete or absent.

A folder is filled under a hidden name beside its final place and then renamed, or exchanged with
the folder that it replaces. If a process is killed (SIGKILL, power cut), the next writer removes
its hidden folder: at once where `locks` shows that nobody fills it, elsewhere once it is a day old.
"""

from __future__ import annotations

import errno
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from edgekit.errors import BadInput
from edgekit.store.exchange import exchange
from edgekit.store.locks import UNKNOWN, lock, unlock
from edgekit.store.paths import is_special, user_path

_TEMPORARY = ".edgekit-tmp"
_REPLACED = ".edgekit-old"
_ABANDONED_AFTER_S = 24 * 3600


@contextmanager
def atomic_dir(final: Path, *, replace: bool) -> Iterator[Path]:
    """A folder to fill. It takes the place of `final` when the block ends without an error.

    An existing `final` stays until the new folder is complete. On any exception, including
    KeyboardInterrupt, the new folder is removed and the old one stays.

    Raises:
        BadInput: `final` exists and `replace` is false; it is a file, or a folder with content
            that is not a bundle; or its parent cannot be written.
    """
    final = user_path(final).resolve()
    require_replaceable(final, replace=replace)
    with part_dir(final, advice="choose another folder with --out") as part:
        yield part
        _put_in_place(part, final, replace=replace)


def require_replaceable(final: Path, *, replace: bool) -> None:
    """Refuse before the work starts what `atomic_dir` would refuse at its end.

    Raises:
        BadInput: as `atomic_dir`.
    """
    final = user_path(final).resolve()
    try:
        if not final.exists():
            return
        is_dir = final.is_dir()
        is_bundle = is_dir and ((final / "manifest.json").is_file() or not any(final.iterdir()))
    except OSError as error:  # not permitted, or a name too long
        raise BadInput(
            f"cannot write to {final}: {error.strerror}",
            expected="a folder name that can be written",
            next_step="choose another folder with --out",
        ) from error
    if not is_dir:
        raise BadInput(
            f"{final} is a file",
            expected="a folder, or a name that is not in use",
            next_step="choose another folder with --out",
        )
    if not replace:
        raise BadInput(f"{final} exists already", next_step="add --force to replace it")
    if not is_bundle:
        raise BadInput(
            f"{final} is not a bundle (no manifest.json), so it is not replaced",
            expected="a bundle, an empty folder, or a name that is not in use",
            next_step="choose another folder with --out",
        )


def require_writable_folder(folder: Path, *, advice: str) -> None:
    """Make a folder, and refuse before the work starts one that cannot be written.

    Raises:
        BadInput: it cannot be made or written; `advice` is the next step of the error.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(
            f"The folder {folder} cannot be written: {error.strerror}.",
            expected="a folder that can be written",
            next_step=advice,
        ) from error


@contextmanager
def part_dir(final: Path, *, advice: str) -> Iterator[Path]:
    """A hidden folder beside `final`, to be renamed to it. What then is left of it is removed.

    What killed processes left beside it is removed too.

    Raises:
        BadInput: the parent cannot be made or written; `advice` is the next step of the error.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        part, held = _locked_part(final)
    except OSError as error:
        raise BadInput(
            f"cannot write to {final.parent}: {error.strerror}",
            expected="a folder that can be written",
            next_step=advice,
        ) from error
    try:
        _sweep(final.parent)
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        unlock(held)


def _locked_part(final: Path) -> tuple[Path, int | None]:
    """A new hidden folder and its lock. Another process may sweep it away before it is locked."""
    while True:
        part = temporary_beside(final)
        part.mkdir()
        with suppress(FileNotFoundError):
            held = lock(part)
            if held is not None and part.exists():
                return part, held
            unlock(held)


def _sweep(folder: Path) -> None:
    for replaced in folder.glob(f".*{_REPLACED}"):
        _restore(replaced)
    for leftover in folder.glob(f".*{_TEMPORARY}"):
        _remove_abandoned(leftover)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file (text as UTF-8). A reader sees the old content or the new, never a part.

    Raises:
        BadInput: the file cannot be written there; or a device or a pipe has this name. The new
            file would take its place: as root, that of /dev/null.
    """
    if is_special(path):
        raise BadInput(
            f"cannot write {path}: it is a device or a pipe",
            expected="the name of a file, which may exist",
        )
    part = temporary_beside(path)
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
    except OSError as error:
        raise BadInput(
            f"cannot write {path}: {error.strerror}", expected="a file name in an existing folder"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def temporary_beside(final: Path, suffix: str = _TEMPORARY) -> Path:
    """A hidden name beside `final`. If a process leaves it behind, the next removes it."""
    return final.with_name(f".{final.name}.{secrets.token_hex(4)}{suffix}")


def _put_in_place(part: Path, final: Path, *, replace: bool) -> None:
    """Give `part` the name `final`. The replaced folder, if any, may then be at `part`."""
    try:
        if not (replace and final.exists()):
            part.rename(final)
        elif not exchange(part, final):
            _rename_twice(part, final)
    except OSError as error:
        made = error.errno in (errno.ENOTEMPTY, errno.EEXIST)
        reason = "another export made it first" if made else error.strerror
        raise BadInput(
            f"cannot put {final} in its place: {reason}",
            next_step="add --force to replace it" if made else "choose another folder with --out",
        ) from error


def _rename_twice(part: Path, final: Path) -> None:
    """As an exchange, for file systems without one. `_restore` completes it after a kill."""
    old = temporary_beside(final, _REPLACED)
    final.rename(old)
    try:
        part.rename(final)
    finally:
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(final)


def _restore(old: Path) -> None:
    """Give a folder its name back whose replacement was killed between the two renames."""
    final = old.with_name(old.name[1:].removesuffix(_REPLACED).rpartition(".")[0])
    with suppress(OSError):
        if final.exists():
            shutil.rmtree(old)
        else:
            old.rename(final)


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):
        held = lock(folder)
        try:
            age = time.time() - folder.stat().st_mtime
            if held is not None and (held != UNKNOWN or age > _ABANDONED_AFTER_S):
                shutil.rmtree(folder)
        finally:
            unlock(held)
