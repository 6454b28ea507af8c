"""Bundles as .zip files, which are read as untrusted input.

An archive is unpacked once, into a cache entry named by the archive's SHA-256. Only its manifest
and the files that the manifest lists are written, each checked against its listed size and digest.
An archive with a name that could lead anywhere else is refused whole, even if the name is not
listed: no packer writes such names by chance.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from struct import error as StructError
from typing import BinaryIO

from edgekit.errors import BundleCorrupt
from edgekit.records import FileDigest
from edgekit.store.cache import cached_dir
from edgekit.store.digests import sha256_of
from edgekit.store.documents import Malformed, printable
from edgekit.store.manifests import (
    MANIFEST,
    MOST_BYTES,
    MOST_FOLDERS,
    PLAIN_PATH,
    corrupt,
    listed_files,
    read_manifest,
)

_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")  # of an archive, and of an empty one
_CHUNK = 2**20
_LONGEST_READ = 2 * _CHUNK  # a listing of 20,000 files; a bundle has ten
_BEST_COMPRESSION = 30  # weights hardly compress, golden vectors by 10
_ALWAYS_TAKEN = 64 * 2**20  # bytes
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA's can ask for 4 GB of memory
_ENCRYPTED = 0x1
_UTF8 = 0x800  # the flag of a name in UTF-8
_ZIP_AGAIN = "get the file again, or zip the bundle's folder again"

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,  # also names that are not UTF-8
    IndexError,
    StructError,
)
"""What zipfile raises on damaged archives."""


def unpacked(archive: Path) -> Path:
    """The folder of a bundle's .zip, unpacked into the cache unless it is there.

    The archive holds the bundle's files, or one folder that holds them.

    Raises:
        BundleCorrupt: it is not an archive of a sound bundle.
        BadInput: the cache cannot be written.
    """
    try:
        with archive.open("rb") as file:
            signature = file.read(4)
        if signature not in _SIGNATURES:
            raise corrupt(archive, "it is a file and not a .zip")
        key = f"bundle-{sha256_of(archive)[:32]}"
    except OSError as error:
        raise corrupt(archive, f"it cannot be read: {error.strerror}") from error
    return cached_dir(key, lambda folder: _unpack(archive, folder))


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with _opened(archive) as opened:
            _unpack_listed(archive, opened, folder)
    except BundleCorrupt:
        raise
    except Malformed as error:
        raise corrupt(archive, str(error), next_step=_ZIP_AGAIN) from error
    except _DAMAGED as error:
        reason = printable(str(error) or type(error).__name__)
        raise corrupt(archive, f"the .zip is damaged: {reason}", next_step=_ZIP_AGAIN) from error


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    with _BoundedReads(archive) as file, zipfile.ZipFile(file) as opened:
        yield opened


class _BoundedReads(FileIO):
    """A file without large reads: zipfile reads an archive's whole listing in one."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As FileIO.seek.

        Raises:
            BadZipFile: the place is before the file's start, as a damaged listing may say.
        """
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError) as error:
            raise zipfile.BadZipFile(f"it has no place {offset}") from error

    def read(self, size: int | None = -1, /) -> bytes:
        """As FileIO.read.

        Raises:
            BadZipFile: more is asked for, and there, than a bundle needs.
        """
        most = _LONGEST_READ + 1
        content = super().read(most if size is None or size < 0 else min(size, most)) or b""
        if len(content) == most:
            raise zipfile.BadZipFile("its listing is longer than any bundle's")
        return content


def _unpack_listed(archive: Path, opened: zipfile.ZipFile, folder: Path) -> None:
    members = _members(opened)
    entry = members[MANIFEST]
    if entry.file_size > MOST_BYTES:
        raise Malformed((f"{MANIFEST} is larger than {MOST_BYTES} bytes",))
    text = b"".join(_content(opened, entry))
    manifest, problems = read_manifest(text, of=archive)
    if problems:
        raise corrupt(archive, str(Malformed(problems)))
    (folder / MANIFEST).write_bytes(text)
    found = [
        (file, members[file.path])
        for file in listed_files(manifest)
        if file.path in members and PLAIN_PATH.fullmatch(file.path)
    ]
    _check_sizes(archive, found)
    for file, member in found:
        _write(opened, member, file, folder)


def _members(opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files by their path in the bundle, without the one top folder that they may have.

    Raises:
        Malformed: a name is not a plain path, or names something else than a file.
    """
    infos = opened.infolist()
    problems = [problem for info in infos for problem in _problems_with(info)]
    files = [info for info in infos if not info.is_dir()]
    names = [info.filename for info in files]
    # Names that differ in case only are one file on macOS and Windows.
    same = Counter(name.casefold() for name in names)
    problems += [f"{name} is there twice" for name, count in same.items() if count > 1]
    if problems:
        raise Malformed(tuple(problems))
    top = _top_folder(names)
    return {
        name.removeprefix(top): info
        for name, info in zip(names, files, strict=True)
        if name.startswith(top)
    }


def _top_folder(names: list[str]) -> str:
    """The folder of the manifest with its slash, or "" for the top of the archive."""
    if MANIFEST in names:
        return ""
    tops = [name for name in names if name.endswith(f"/{MANIFEST}") and name.count("/") == 1]
    if len(tops) != 1:
        raise Malformed((f"it has no {MANIFEST} at its top or in one top folder",))
    return tops[0].removesuffix(MANIFEST)


def _problems_with(info: zipfile.ZipInfo) -> Iterator[str]:
    """What makes a member one that no packer of a bundle writes; its name is checked as stored."""
    name = info.orig_filename
    steps = name.removesuffix("/").split("/")
    if any(step in ("", ".", "..") for step in steps) or ":" in name or "\\" in name:
        yield f"{name} is not a plain path inside the bundle"
    elif not name.isprintable() or not (name.isascii() or info.flag_bits & _UTF8):
        yield f"{name} is a name that is not plain UTF-8 text"
    elif len(steps) > MOST_FOLDERS + 2:
        yield f"{name} lies more than {MOST_FOLDERS} folders deep"
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield f"{name} is a link or a device, not a file"
    if info.flag_bits & _ENCRYPTED:
        yield f"{name} is encrypted"
    elif info.compress_type not in _METHODS:
        yield f"{name} is packed by another method than deflate"


def _check_sizes(archive: Path, found: list[tuple[FileDigest, zipfile.ZipInfo]]) -> None:
    """Refuse an archive that would unpack to more than bundles do, or not to the listed sizes."""
    problems = [
        f"{file.path} has {member.file_size} bytes instead of {file.bytes}"
        for file, member in found
        if member.file_size != file.bytes
    ]
    packed, full = archive.stat().st_size, sum(file.bytes for file, _ in found)
    if full > max(_ALWAYS_TAKEN, _BEST_COMPRESSION * packed):
        problems.append(f"it unpacks from {packed} to {full} bytes; bundles do not compress so")
    if problems:
        raise Malformed(tuple(problems))


def _write(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, file: FileDigest, folder: Path
) -> None:
    place = folder / file.path
    digest = hashlib.sha256()
    with _new_file(place, file.path) as written:
        for chunk in _content(opened, member):
            digest.update(chunk)
            written.write(chunk)
    if digest.hexdigest() != file.sha256:
        raise Malformed((f"{file.path} was changed: its SHA-256 differs",))


def _new_file(place: Path, name: str) -> BinaryIO:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return place.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise Malformed((f"{name} is there twice, perhaps also as a folder",)) from error


def _content(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content in pieces, never more than the archive declares.

    Raises:
        Malformed: it is longer or shorter than the archive declares.
    """
    size = 0
    with opened.open(member) as stream:
        while size <= member.file_size and (chunk := stream.read(_CHUNK)):
            size += len(chunk)
            yield chunk
    if size != member.file_size:
        raise Malformed((f"{member.filename} has {size} bytes instead of {member.file_size}",))
