"""Writing and reading `manifest.json`, which is read as untrusted input.

Bundles are downloaded and passed around. A manifest could be crafted to open a file elsewhere or to
exhaust memory, so everything is checked before a runtime opens a file. One BundleCorrupt lists all
problems.

A file may be a link out of the bundle, as in the cache of the Hugging Face Hub, where it leads into
`../../blobs`. Such a link is followed if it leads to a regular file of the listed size and SHA-256:
whoever can name a file's digest knows its content already.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgekit.errors import BundleCorrupt
from edgekit.records import MANIFEST_SCHEMA, Bundle, FileDigest, Manifest
from edgekit.store import contradictions
from edgekit.store.digests import sha256_of
from edgekit.store.documents import Malformed, printable, record_from_json
from edgekit.store.folders import write_atomic
from edgekit.store.paths import user_path

MANIFEST = "manifest.json"

_MOST_BYTES = 8 * 2**20  # a manifest is some 20 kB
# Only names that edgekit writes: nothing that a shell, Windows or a path join treats specially.
_NAME = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._+-]{1,100}"
_PLAIN_PATH = re.compile(f"(?:{_NAME}/){{0,8}}{_NAME}")
_EXPORT_AGAIN = "export it again: edgekit export MODEL --target TARGET --force"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into a bundle's folder, atomically."""
    text = json.dumps(asdict(manifest), indent=2, allow_nan=False, ensure_ascii=False)
    write_atomic(folder / MANIFEST, text + "\n")


def read_bundle(path: Path, *, check_digests: bool = True) -> Bundle:
    """Read a bundle's manifest, and check it and its files.

    Paths, presence and sizes of all listed files are always checked. `check_digests` also compares
    their SHA-256, as is always done for links out of the bundle. The golden vectors may be missing,
    all of them or none.

    Raises:
        BundleCorrupt: the manifest or a file is not sound; the message lists every problem.
    """
    path = user_path(path).absolute()
    document = _document(path, _manifest_text(path))
    _refuse_other_schema(path, document)
    _drop_retired_keys(document)
    try:
        manifest = record_from_json(Manifest, json.dumps(document).encode())
        problems = [*contradictions.in_manifest(manifest)]
        problems += _problems_with_files(path, manifest, digests=check_digests)
        if problems:
            raise Malformed(tuple(problems))
    except Malformed as error:
        raise _corrupt(path, str(error)) from error
    return Bundle(path=path, manifest=manifest)


def _corrupt(path: Path, problems: str) -> BundleCorrupt:
    return BundleCorrupt(
        f"{printable(str(path))} is not a sound bundle: {problems}",
        expected=f"a folder with {MANIFEST} and the files it lists, as edgekit export wrote them",
        next_step=_EXPORT_AGAIN,
    )


def _manifest_text(path: Path) -> bytes:
    file = path / MANIFEST
    try:
        if not path.is_dir():
            raise _corrupt(path, "no such folder")
        if not file.is_file():  # a pipe or a device would be read for ever
            raise _corrupt(path, f"no {MANIFEST}")
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _corrupt(path, f"{MANIFEST} cannot be read: {error.strerror}") from error
    if len(text) > _MOST_BYTES:
        raise _corrupt(path, f"{MANIFEST} is larger than {_MOST_BYTES} bytes")
    return text


def _document(path: Path, text: bytes) -> dict[str, Any]:
    from pydantic_core import from_json

    try:
        document = from_json(text)
    except ValueError as error:
        raise _corrupt(path, f"{MANIFEST}: {printable(str(error))}") from error
    if not isinstance(document, dict):
        raise _corrupt(path, f"{MANIFEST} has no schema number")
    return document


def _drop_retired_keys(document: dict[str, Any]) -> None:
    """Drop `artifacts[].weights`, which edgekit 0.1.0 wrote as null and nothing has ever read."""
    artifacts = document.get("artifacts")
    for artifact in artifacts if isinstance(artifacts, list) else ():
        if isinstance(artifact, dict) and artifact.get("weights", 0) is None:
            del artifact["weights"]


def _refuse_other_schema(path: Path, document: dict[str, Any]) -> None:
    schema = document.get("schema")
    if schema is None:
        raise _corrupt(path, f"{MANIFEST} has no schema number")
    if type(schema) is int and schema != MANIFEST_SCHEMA:  # true is no number, but equals 1
        number, maker = printable(str(schema)), printable(str(document.get("edgekit", "unknown")))
        raise BundleCorrupt(
            f"{printable(str(path))} has manifest schema {number}; edgekit {maker} wrote it",
            expected=f"schema {MANIFEST_SCHEMA}",
            next_step=f"install the edgekit version that wrote it, or {_EXPORT_AGAIN}",
        )


def _problems_with_files(path: Path, manifest: Manifest, *, digests: bool) -> Iterator[str]:
    listed = [file for artifact in manifest.artifacts for file in artifact.contents]
    golden = manifest.golden if _has_any(path, manifest.golden) else ()
    for file in (*listed, *golden, *([manifest.plan] if manifest.plan else [])):
        if problem := _problem_with_path(path, file) or _change_of(path, file, digests=digests):
            yield f"{printable(file.path)} {problem}"


def _has_any(path: Path, golden: tuple[FileDigest, ...]) -> bool:
    """Whether any golden vector is there. A bundle on a device may come without all of them."""
    return any(
        not _PLAIN_PATH.fullmatch(file.path) or os.path.lexists(path / file.path) for file in golden
    )


def _problem_with_path(path: Path, file: FileDigest) -> str | None:
    if not _PLAIN_PATH.fullmatch(file.path):
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
