"""Atomic files and folders: they are complete or absent.

A folder is filled under a hidden name beside its final place and then renamed, or exchanged with
the folder that it replaces. If a process is killed (SIGKILL, power cut), the next writer removes
its hidden folder once that is a day old.
"""

from __future__ import annotations

import errno
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgekit.errors import BadInput
from edgekit.store.exchange import exchange
from edgekit.store.paths import user_path

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
    part = part_dir(final, advice="choose another folder with --out")
    try:
        yield part
        _put_in_place(part, final, replace=replace)
    finally:
        shutil.rmtree(part, ignore_errors=True)


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


def part_dir(final: Path, *, advice: str) -> Path:
    """Make a hidden folder beside `final`, to be renamed to it, and remove abandoned ones.

    Raises:
        BadInput: the parent cannot be made or written; `advice` is the next step of the error.
    """
    part = temporary_beside(final)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
    except OSError as error:
        raise BadInput(
            f"cannot write to {final.parent}: {error.strerror}",
            expected="a folder that can be written",
            next_step=advice,
        ) from error
    for replaced in final.parent.glob(f".*{_REPLACED}"):
        _restore(replaced)
    for leftover in final.parent.glob(f".*{_TEMPORARY}"):
        _remove_abandoned(leftover)
    return part


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file (text as UTF-8). A reader sees the old content or the new, never a part.

    Raises:
        BadInput: the file cannot be written there.
    """
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
    """A hidden name beside `final`. If a process leaves it behind, it is removed after a day."""
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
        if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S:
            shutil.rmtree(folder)
