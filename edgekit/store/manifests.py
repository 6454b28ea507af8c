"""From the text of a `manifest.json` to a record, checked except for the files that it lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.errors import BundleCorrupt
from edgekit.records import MANIFEST_SCHEMA, FileDigest, Manifest
from edgekit.store import contradictions
from edgekit.store.documents import Malformed, printable, record_from_json

MANIFEST = "manifest.json"
MOST_BYTES = 8 * 2**20
"""The largest manifest that is read; one has some 20 kB."""

MOST_FOLDERS = 8
# Only names that edgekit writes: nothing that a shell, Windows or a path join treats specially.
_NAME = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._+-]{1,100}"
PLAIN_PATH = re.compile(f"(?:{_NAME}/){{0,{MOST_FOLDERS}}}{_NAME}")
"""A path that leads to one place inside a bundle on every system."""

EXPORT_AGAIN = "export it again: edgekit export MODEL --target TARGET --force"


def read_manifest(text: bytes, *, of: Path) -> tuple[Manifest, tuple[str, ...]]:
    """A manifest and its contradictions, one line each.

    Args:
        text: the JSON.
        of: the bundle's folder or archive, for messages.

    Raises:
        BundleCorrupt: it is no manifest, or one of another schema.
    """
    document = _document(of, text)
    _refuse_other_schema(of, document)
    _drop_retired_keys(document)
    try:
        manifest = record_from_json(Manifest, json.dumps(document).encode())
    except Malformed as error:
        raise corrupt(of, str(error)) from error
    return manifest, tuple(contradictions.in_manifest(manifest))


def listed_files(manifest: Manifest) -> Iterator[FileDigest]:
    """Every file that a manifest lists."""
    for artifact in manifest.artifacts:
        yield from artifact.contents
    yield from manifest.golden
    if manifest.plan:
        yield manifest.plan


def corrupt(path: Path, problems: str, *, next_step: str = EXPORT_AGAIN) -> BundleCorrupt:
    """The error for a bundle that is not as `edgekit export` wrote it."""
    return BundleCorrupt(
        f"{printable(str(path))} is not a sound bundle: {problems}",
        expected=f"a folder with {MANIFEST} and the files it lists, as edgekit export wrote them, "
        "or a .zip of it",
        next_step=next_step,
    )


def _document(path: Path, text: bytes) -> dict[str, Any]:
    from pydantic_core import from_json

    try:
        document = from_json(text)
    except ValueError as error:
        raise corrupt(path, f"{MANIFEST}: {printable(str(error))}") from error
    if not isinstance(document, dict):
        raise corrupt(path, f"{MANIFEST} has no schema number")
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
        raise corrupt(path, f"{MANIFEST} has no schema number")
    if type(schema) is int and schema != MANIFEST_SCHEMA:  # true is no number, but equals 1
        number, maker = printable(str(schema)), printable(str(document.get("edgekit", "unknown")))
        raise BundleCorrupt(
            f"{printable(str(path))} has manifest schema {number}; edgekit {maker} wrote it",
            expected=f"schema {MANIFEST_SCHEMA}",
            next_step=f"install the edgekit version that wrote it, or {EXPORT_AGAIN}",
        )
