"""Tells what a file is by its first bytes, before a reader of tensors opens it.

People hand in what a download left behind: a Git LFS pointer, the page of a login or a quota, an
empty file. Each is named with its way out. A zip archive's size is checked too: torch stores
tensors without compression, so an archive that unpacks to far more than its own size is no
checkpoint.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from edgekit.errors import CheckpointMismatch

FORMATS = "a PyTorch state dict, a .safetensors file or NanoSAM's published .onnx encoder"

_AGAIN = "download the file itself again; its address should end in the file's name"
# (the first bytes in lower case, what such a file is, the way out)
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer: the file's address, not its content",
        "git lfs pull, in the repository that it came from",
    ),
    (b"<!doctype html", "a web page, not a checkpoint", _AGAIN),
    (b"<html", "a web page, not a checkpoint", _AGAIN),
    (b"<?xml", "an XML document, such as a server's error, not a checkpoint", _AGAIN),
    (b"{", "JSON text, not a checkpoint", _AGAIN),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first: gunzip FILE, or tar xzf FILE"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it first, and give the checkpoint in it"),
    (b"rar!", "a RAR archive", "unpack it first, and give the checkpoint in it"),
    (b"\x89hdf", "an HDF5 file of another framework", "export the model's PyTorch weights"),
    (b"\x93numpy", "a NumPy array, not a checkpoint", "give the file that torch.save wrote"),
)
_SAFETENSORS_MARK = slice(8, 9)  # eight bytes of length, then JSON
_MOST_UNPACKED = 10  # times the archive's size: trained weights compress to no less than half
_SPARE = 1 << 20  # bytes: a tiny file's names may compress well

Kind = Literal["torch", "safetensors", "onnx"]


def kind_of(path: Path) -> Kind:
    """How to read a file: by its content, and by its name where that tells nothing.

    Raises:
        CheckpointMismatch: it is something else, which the message names.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise CheckpointMismatch(
            f"{path.name} cannot be read: {error.strerror}.", expected=FORMATS
        ) from error
    _require_own_format(path, head)
    if head.startswith(b"PK") and path.suffix.lower() == ".safetensors":
        raise CheckpointMismatch(  # torch.load would hand it to safetensors, by its name
            f"{path.name} is a PyTorch file under the name of a safetensors one.",
            expected=FORMATS,
            next_step=f"rename it to {path.stem}.pt",
        )
    if head.startswith(b"PK"):
        return "torch"
    if head[_SAFETENSORS_MARK] == b"{":
        return "safetensors"
    named: dict[str, Kind] = {".safetensors": "safetensors", ".onnx": "onnx"}
    return named.get(path.suffix.lower(), "torch")


def _require_own_format(path: Path, head: bytes) -> None:
    if not head:
        raise CheckpointMismatch(
            f"{path.name} is empty: its download or copy did not finish.",
            expected=FORMATS,
            next_step=_AGAIN,
        )
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, what, way_out in _FOREIGN:
        if text.startswith(mark):
            raise CheckpointMismatch(f"{path.name} is {what}.", expected=FORMATS, next_step=way_out)


def require_plain_archive(path: Path) -> None:
    """Raise CheckpointMismatch unless a zip archive is a state dict's and as large as it unpacks.

    The central directory is read, not the members.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.filename.endswith("constants.pkl") for member in members):
        raise CheckpointMismatch(
            f"{path.name} is a TorchScript program, not a checkpoint.",
            expected=FORMATS,
            next_step="torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')",
        )
    if not any(member.filename.endswith("data.pkl") for member in members):
        raise CheckpointMismatch(
            f"{path.name} is a zip archive, but not one of torch.save.",
            expected=FORMATS,
            next_step="unpack it, and give the checkpoint in it",
        )
    unpacked, size = sum(member.file_size for member in members), path.stat().st_size
    if unpacked > _MOST_UNPACKED * size + _SPARE:
        raise CheckpointMismatch(
            f"{path.name} unpacks from {size / 1e6:.1f} MB to {unpacked / 1e6:.0f} MB: "
            "weights do not compress like that.",
            expected="a file as torch.save writes it, without compression",
        )
