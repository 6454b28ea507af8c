"""The content-keyed cache of stages: a folder per key, complete or absent."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from edgekit.store.folders import part_dir, write_atomic

_LISTING = ".files.json"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def cache_dir() -> Path:
    """Where checkpoints and finished stages are kept: $EDGEKIT_CACHE or the platform's place."""
    if chosen := os.environ.get("EDGEKIT_CACHE"):
        return Path(chosen).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("edgekit"))


def cached_dir(key: str, build: Callable[[Path], None]) -> Path:
    """The cached folder of a key; `build` fills it the first time.

    The folder appears under its key only when `build` has returned, so that an interrupted or
    concurrent build is never seen; of two builders at once the first to finish wins. An entry that
    lost or shortened a file (a cleaner of temporary files, a full disk) is built again.

    Raises:
        BadInput: the cache cannot be written.
        Whatever `build` raises; nothing is kept then.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a cache key: {key!r}")
    final = cache_dir() / "stages" / key
    if _is_whole(final):
        return final
    part = part_dir(final, advice="set EDGEKIT_CACHE to a folder that can be written")
    try:
        build(part)
        write_atomic(part / _LISTING, json.dumps(_sizes(part)))
        _place(part, final)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def _sizes(folder: Path) -> dict[str, int]:
    return {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != _LISTING
    }


def _is_whole(folder: Path) -> bool:
    try:
        listed = json.loads((folder / _LISTING).read_text())
        return bool(listed == _sizes(folder))
    except (OSError, ValueError):
        return False


def _place(part: Path, final: Path) -> None:
    if final.exists() and not _is_whole(final):
        shutil.rmtree(final, ignore_errors=True)
    try:
        part.rename(final)
    except OSError:
        if not _is_whole(final):  # else another process finished first, with the same content
            raise
