"""Writing and reading `manifest.json`, which is read as untrusted input.

Bundles are downloaded and passed around. A manifest could be crafted to open a file elsewhere or to
exhaust memory, so everything is checked before a runtime opens a file. One BundleCorrupt lists all
problems.

A file may be a link out of the bundle, as in the cache of the Hugging Face Hub, where it leads into
`../../blobs`. Such a link is followed if it leads to a regular file of the listed size and SHA-256:
whoever can name a file's digest knows its content already.

A bundle may also be a .zip of its folder, which `archives` unpacks into the cache.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from edgekit.records import Bundle, FileDigest, Manifest
from edgekit.store.archives import unpacked
from edgekit.store.digests import sha256_of
from edgekit.store.documents import Malformed, printable
from edgekit.store.folders import write_atomic
from edgekit.store.manifests import MANIFEST, MOST_BYTES, PLAIN_PATH, corrupt, read_manifest
from edgekit.store.paths import user_path


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into a bundle's folder, atomically."""
    text = json.dumps(asdict(manifest), indent=2, allow_nan=False, ensure_ascii=False)
    write_atomic(folder / MANIFEST, text + "\n")


def read_bundle(path: Path, *, check_digests: bool = True) -> Bundle:
    """Read a bundle's manifest, and check it and its files.

    Paths, presence and sizes of all listed files are always checked. `check_digests` also compares
    their SHA-256, as is always done for links out of the bundle. The golden vectors may be missing,
    all of them or none.

    Args:
        path: the bundle's folder, or a .zip of it.
        check_digests: whether to compare digests.

    Raises:
        BundleCorrupt: the archive, the manifest or a file is not sound; the message lists every
            problem.
        BadInput: it is an archive, and the cache cannot be written.
    """
    path = user_path(path).absolute()
    archive = path if _is_file(path) else None
    folder = unpacked(archive) if archive else path
    manifest, found = read_manifest(_manifest_text(folder), of=path)
    problems = (*found, *_problems_with_files(folder, manifest, digests=check_digests))
    if problems:
        raise corrupt(path, str(Malformed(problems)))
    return Bundle(path=folder, manifest=manifest, archive=archive)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # the name is too long, or a folder may not be read
        raise corrupt(path, f"it cannot be read: {error.strerror}") from error


def _manifest_text(path: Path) -> bytes:
    file = path / MANIFEST
    try:
        if not path.is_dir():
            raise corrupt(path, "no such folder or file")
        if not file.is_file():  # a pipe or a device would be read for ever
            raise corrupt(path, f"no {MANIFEST}")
        with file.open("rb") as opened:
            text = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise corrupt(path, f"{MANIFEST} cannot be read: {error.strerror}") from error
    if len(text) > MOST_BYTES:
        raise corrupt(path, f"{MANIFEST} is larger than {MOST_BYTES} bytes")
    return text


def _problems_with_files(path: Path, manifest: Manifest, *, digests: bool) -> Iterator[str]:
    listed = [file for artifact in manifest.artifacts for file in artifact.contents]
    golden = manifest.golden if _has_any(path, manifest.golden) else ()
    for file in (*listed, *golden, *([manifest.plan] if manifest.plan else [])):
        if problem := _problem_with_path(path, file) or _change_of(path, file, digests=digests):
            yield f"{printable(file.path)} {problem}"


def _has_any(path: Path, golden: tuple[FileDigest, ...]) -> bool:
    """Whether any golden vector is there. A bundle on a device may come without all of them."""
    return any(
        not PLAIN_PATH.fullmatch(file.path) or os.path.lexists(path / file.path) for file in golden
    )


def _problem_with_path(path: Path, file: FileDigest) -> str | None:
    if not PLAIN_PATH.fullmatch(file.path):
        return "is not a plain path inside the bundle"
    try:
        place = (path / file.path).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return "is missing"
    return None if place.is_file() else "is not a file"


def _change_of(path: Path, file: FileDigest, *, digests: bool) -> str | None:
    place = path / file.path
    size = place.stat().st_size
    if size != file.bytes:
        return f"has {size} bytes instead of {file.bytes}"
    outside = not place.resolve().is_relative_to(path.resolve())
    if (digests or outside) and sha256_of(place) != file.sha256:
        return "was changed: its SHA-256 differs"
    return None
