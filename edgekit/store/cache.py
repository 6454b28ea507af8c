"""The cache of finished stages: a folder per content key, complete or absent, limited in size.

After a new entry, the least recently used entries are removed until the limit holds again (20 GB,
or $EDGEKIT_CACHE_LIMIT). What this process has used, or any process within the last hour, stays:
it may be open. Until then the cache may be larger than its limit.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from edgekit.errors import BadInput
from edgekit.store.entries import (
    CacheEntry,
    entry_damage,
    mark_used,
    read_entries,
    remove_entry,
    write_listing,
)
from edgekit.store.folders import part_dir
from edgekit.store.paths import user_path

LIMIT_GB = 20.0
_IN_USE_S = 3600
_EVICT_EVERY_S = 60
"""Training adds an entry per photo, and a look at thousands of entries takes a tenth of a second.
The modification time of `.evicted` in the cache is the time of the last look."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_used_here: set[Path] = set()


def cache_dir() -> Path:
    """The folder of checkpoints and finished stages: $EDGEKIT_CACHE, or the platform's own."""
    if chosen := os.environ.get("EDGEKIT_CACHE"):
        return user_path(chosen).absolute()
    import pooch

    return Path(pooch.os_cache("edgekit"))


def cached_dir(key: str, build: Callable[[Path], None]) -> Path:
    """The cached folder of a key; `build` fills it the first time.

    The folder appears under its key only after `build` has returned, so that an interrupted or
    concurrent build is never seen. If two processes build the same entry, the first to finish wins.
    Every file is compared with its SHA-256 first: 0.1 s for 100 MB. An entry with a lost, shortened
    or changed file (a cleaner of temporary files, a full or failing disk) is built again.

    Raises:
        BadInput: the cache cannot be written, or $EDGEKIT_CACHE_LIMIT is not a size.
        Whatever `build` raises; nothing is cached then.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a cache key: {key!r}")
    limit = cache_limit()
    final = _stages() / key
    _used_here.add(final)
    if entry_damage(final) is None and mark_used(final):
        return final
    advice = "set EDGEKIT_CACHE to a folder that can be written"
    with part_dir(final, advice=advice) as part:
        build(part)
        write_listing(part)
        _place(part, final)
    _evict(limit)
    return final


def cache_limit() -> int:
    """The most bytes that finished stages may take: $EDGEKIT_CACHE_LIMIT in GB, or 20 GB.

    Raises:
        BadInput: the variable is not a number of at least 0.
    """
    text = os.environ.get("EDGEKIT_CACHE_LIMIT") or str(LIMIT_GB)
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise BadInput(
            f"EDGEKIT_CACHE_LIMIT is {text!r}, which is not a size.",
            expected="gigabytes as a number, such as 20 or 0.5",
            next_step="export EDGEKIT_CACHE_LIMIT=20",
        )
    return int(limit * 1e9)


def cache_entries() -> tuple[CacheEntry, ...]:
    """All finished stages, the least recently used first."""
    return read_entries(_stages())


def entries_above(entries: Iterable[CacheEntry], limit: int) -> list[CacheEntry]:
    """The first of `entries` that have to go so that the rest takes at most `limit` bytes."""
    listed = list(entries)
    total = sum(entry.bytes for entry in listed)
    gone = []
    for entry in listed:
        if total <= limit:
            break
        total -= entry.bytes
        gone.append(entry)
    return gone


def _stages() -> Path:
    return cache_dir() / "stages"


def _evict(limit: int) -> None:
    """Remove the least recently used entries above the limit that nobody uses."""
    stamp = cache_dir() / ".evicted"
    now = time.time()
    if stamp.exists() and now - stamp.stat().st_mtime < _EVICT_EVERY_S:
        return
    stamp.touch()
    for entry in entries_above(cache_entries(), limit):
        if entry.path not in _used_here and now - entry.last_used > _IN_USE_S:
            remove_entry(entry)


def _place(part: Path, final: Path) -> None:
    if final.exists() and entry_damage(final):
        shutil.rmtree(final, ignore_errors=True)
    try:
        part.rename(final)
    except OSError:
        if entry_damage(final):  # without any, another process was first with the same content
            raise
