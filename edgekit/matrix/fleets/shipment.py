"""edgekit itself as a .tar for devices: its Python source and tables, without weights."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from edgekit.catalog.tables import table_dir

_PACKAGE = Path(__file__).parents[2]
_LEFT_OUT = (_PACKAGE / "models" / "bundled", _PACKAGE / "_data")
"""Weights; and in a wheel, the tables, which are added by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """The archive, and a name that no other content has."""

    name: str
    content: bytes


@cache
def shipment() -> Shipment:
    """edgekit as it is installed here. Unpacked, the folder can stand in `sys.path`."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for file in sorted(_PACKAGE.rglob("*")):
            if file.is_file() and _is_shipped(file):
                _add(archive, f"edgekit/{file.relative_to(_PACKAGE)}", file.read_bytes())
        for kind in ("targets", "calibration"):
            _add_table(archive, table_dir(kind), f"edgekit/_data/{kind}")
        distribution = metadata.distribution("edgekit")
        facts = distribution.read_text("METADATA") or ""
        _add(archive, f"edgekit-{distribution.version}.dist-info/METADATA", facts.encode())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    return Shipment(name=f"code-{digest[:16]}", content=content.getvalue())


def _is_shipped(file: Path) -> bool:
    return "__pycache__" not in file.parts and not any(map(file.is_relative_to, _LEFT_OUT))


def _add_table(archive: tarfile.TarFile, folder: Path, name: str) -> None:
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        _add(archive, f"{name}/{file.relative_to(folder)}", file.read_bytes())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Without times and owners, so that equal files make an equal archive."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
