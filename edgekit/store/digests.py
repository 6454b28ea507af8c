"""SHA-256 of files, of keys and of edgekit's own code."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgekit.records import FileDigest

_PACKAGE = Path(__file__).resolve().parents[1]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, 64 lower-case hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_file(path: Path, relative_to: Path | None = None) -> FileDigest:
    """Digest and size of a file; its path POSIX, relative to a folder or else absolute."""
    named = path.resolve() if relative_to is None else path.relative_to(relative_to)
    return FileDigest(path=named.as_posix(), sha256=sha256_of(path), bytes=path.stat().st_size)


def content_key(*parts: str) -> str:
    """A cache key, 32 hex digits, that differs when any part or the split into parts differs."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()[:32]


def code_digest(*packages: str) -> str:
    """A digest of edgekit's own source and tables: a cached stage must not outlive its code.

    Args:
        packages: subpackages or modules of edgekit ("graph", "models.sam", "records").

    Raises:
        ValueError: no name, or one that edgekit does not have.
    """
    if not packages:
        raise ValueError("name at least one package of edgekit")
    sources = sorted({source for package in packages for source in _sources(package)})
    return content_key(
        *(f"{source.relative_to(_PACKAGE).as_posix()} {sha256_of(source)}" for source in sources)
    )


def _sources(package: str) -> list[Path]:
    place = _PACKAGE.joinpath(*package.split("."))
    module = place.with_suffix(".py")
    found = [module] if module.is_file() else [*place.rglob("*.py"), *place.rglob("*.toml")]
    if not found:
        raise ValueError(f"edgekit has no package {package!r}")
    return found
