"""Entries of the stage cache on disk: their listing, last use, damage and removal.

An entry is a folder that holds `.files.json`, a listing of its files with their sizes and SHA-256.
The listing's modification time is when the entry was last used.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgekit.store.digests import sha256_of
from edgekit.store.folders import temporary_beside, write_atomic

_LISTING = ".files.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """A finished stage. `bytes` is the size on disk, `last_used` the Unix time in seconds."""

    path: Path
    bytes: int
    last_used: float

    @property
    def key(self) -> str:
        """The key that it was made for."""
        return self.path.name

    @property
    def kind(self) -> str:
        """The kind of stage, "graphs" for one; "other" if the key does not say."""
        return self.key.rpartition("-")[0] or "other"


def read_entries(stages: Path) -> tuple[CacheEntry, ...]:
    """All entries in the folder of stages, the least recently used first."""
    folders = [path for path in stages.glob("*") if path.is_dir() and path.name[0] != "."]
    entries = (_entry(folder) for folder in folders)
    return tuple(sorted(filter(None, entries), key=lambda entry: entry.last_used))


def _entry(folder: Path) -> CacheEntry | None:
    """The entry of one folder; None if another process removes it at this moment."""
    try:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return CacheEntry(path=folder, bytes=size, last_used=_last_used(folder))
    except OSError:
        return None


def _last_used(folder: Path) -> float:
    """When the entry was used; without a listing, when its folder changed."""
    listing = folder / _LISTING
    return (listing if listing.is_file() else folder).stat().st_mtime


def write_listing(folder: Path) -> None:
    """Write the sizes and digests of all files of a finished stage."""
    listing = {
        name: {"bytes": size, "sha256": sha256_of(folder / name)}
        for name, size in _sizes(folder).items()
    }
    write_atomic(folder / _LISTING, json.dumps(listing))


def _is_complete(folder: Path) -> bool:
    """Whether an entry has exactly the files of its listing, with their sizes."""
    try:
        listed = {name: file["bytes"] for name, file in _listing(folder).items()}
        return listed == _sizes(folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def entry_damage(folder: Path) -> str | None:
    """What is wrong with an entry; None if every file has the SHA-256 of the listing."""
    if not _is_complete(folder):
        return "its files are not those of its listing"
    try:
        changed = [
            name
            for name, file in _listing(folder).items()
            if sha256_of(folder / name) != file["sha256"]
        ]
    except (OSError, KeyError) as error:
        return f"it cannot be read: {error}"
    return f"the SHA-256 of {', '.join(changed)} differs" if changed else None


def mark_used(folder: Path) -> bool:
    """Record that an entry is used now; False if another process has just removed it."""
    try:
        os.utime(folder / _LISTING)
    except FileNotFoundError:
        return False
    except OSError:  # a cache that this user may only read
        return True
    return True


def remove_entry(entry: CacheEntry) -> bool:
    """Remove an entry unless it was used since it was listed; returns whether it was removed.

    The folder is renamed first, so that no process sees half of it.
    """
    hidden = temporary_beside(entry.path)
    try:
        entry.path.rename(hidden)
    except OSError:  # another process removed it
        return False
    if _last_used(hidden) > entry.last_used:
        with suppress(OSError):  # another process has built it again
            hidden.rename(entry.path)
            return False
    shutil.rmtree(hidden, ignore_errors=True)
    return True


def _listing(folder: Path) -> dict[str, dict[str, object]]:
    from pydantic_core import from_json  # bounds the nesting, as json.loads does not

    listing: dict[str, dict[str, object]] = from_json((folder / _LISTING).read_bytes())
    return listing


def _sizes(folder: Path) -> dict[str, int]:
    return dict(_files(folder))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != _LISTING:
            yield file.relative_to(folder).as_posix(), file.stat().st_size
