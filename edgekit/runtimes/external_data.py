"""Where an ONNX file says that its weights lie, checked before a runtime opens them.

ONNX Runtime 1.23, the last for Python 3.10, opens whatever path a model names; 1.31 refuses those
out of its folder. Neither knows which files the manifest lists with digests. A device has no onnx
package, so the bytes are searched for the field that names a file: in protobuf an entry of
`TensorProto.external_data` with the key "location" (onnx.proto, field 13 of TensorProto).
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from edgekit.errors import BundleCorrupt
from edgekit.records import Artifact

_KEY = b"location"
# A string follows its length. Protobuf also reads lengths with needless zeros at their end.
_NAMED = re.compile(rb"[\x00\x08]" + _KEY)


def require_listed_data(artifact: Artifact, folder: Path) -> None:
    """Refuse an ONNX file that takes weights from a file which the manifest does not list.

    Raises:
        BundleCorrupt: it does, or it names a file in another way than `onnx` writes.
    """
    model = folder / artifact.entry
    if not model.is_file() or not model.stat().st_size:
        return  # the runtime says that there is no model
    with (
        model.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        named = len(_NAMED.findall(content))
        names = {each.path.encode() for each in artifact.files}  # a manifest may list one twice
        listed = sum(_count(content, name) for name in names)
    if named != listed:
        raise BundleCorrupt(
            f"{artifact.entry} takes weights from a file that the manifest does not list.",
            expected="weights in the file itself, or in files of the bundle",
            next_step="export the bundle again",
        )


def _count(content: mmap.mmap, name: bytes) -> int:
    """How many tensors have their weights in the file of that name, as `onnx` writes it."""
    if len(name) > 100:  # lengths above 127 take two bytes; edgekit's own names are short
        return 0
    entry = b"\x0a" + bytes([len(_KEY)]) + _KEY + b"\x12" + bytes([len(name)]) + name
    pattern = re.escape(b"\x6a" + bytes([len(entry)]) + entry)
    return len(re.findall(pattern, content))
