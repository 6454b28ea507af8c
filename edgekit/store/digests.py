"""SHA-256 of files and of cache keys."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgekit.records import FileDigest

_CHUNK = 1 << 20  # bytes read at a time


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content: 64 lower-case hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):  # hashlib.file_digest is there from Python 3.11 on
            digest.update(chunk)
    return digest.hexdigest()


def digest_file(path: Path, relative_to: Path | None = None) -> FileDigest:
    """Digest and size of a file. Its path is POSIX and absolute, or relative to a folder."""
    named = path.resolve() if relative_to is None else path.relative_to(relative_to)
    return FileDigest(path=named.as_posix(), sha256=sha256_of(path), bytes=path.stat().st_size)


def stage_key(kind: str, *parts: str) -> str:
    """A cache key that starts with the kind of its stage: "graphs-" and `content_key` of all."""
    return f"{kind}-{content_key(kind, *parts)}"


def content_key(*parts: str) -> str:
    """32 hex digits that differ if any part differs, or the way the text is split into parts."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()[:32]
