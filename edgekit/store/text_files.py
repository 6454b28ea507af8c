"""Text files that a user names. None of them is trusted to end, to be small, or to be UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path

from edgekit.store.documents import Malformed
from edgekit.store.paths import is_special

_BYTE_ORDER_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def utf8_of(path: Path, *, most_bytes: int) -> bytes:
    """The text of a file in UTF-8, without the byte order mark that tools of Windows write.

    Raises:
        Malformed: it is no file, and might never end; it is larger than `most_bytes`; or it is not
            in the encoding of its byte order mark.
        OSError: it is not there or cannot be read.
    """
    if is_special(path):
        raise Malformed(("a pipe or a device, and not a file",))
    size = path.stat().st_size
    if size > most_bytes:
        raise Malformed((f"larger than {most_bytes:,} bytes",))
    with path.open("rb") as file:
        content = file.read(size)
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    if encoding is None:
        return content
    try:
        return content.decode(encoding).encode()
    except UnicodeError as error:
        told = f"not {encoding.upper()}, although its first bytes say so"
        raise Malformed((told,)) from error
