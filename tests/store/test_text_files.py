"""Text files that users name: read in any encoding they say they have, and only if they end."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.catalog.annotations import instances_from_coco
from edgekit.catalog.box_files import read_boxes, read_detections
from edgekit.errors import BadInput
from edgekit.matrix.config import read_config
from edgekit.matrix.fleets.workers import read_workers
from edgekit.matrix.known import read_known_failures
from edgekit.runtime.proposals import read_proposals
from edgekit.store import Malformed, utf8_of
from edgekit.train.result.model_card import read_card

Read = Callable[[Path], Any]


def boxes(path: Path) -> Any:
    return read_boxes(path, "photo.jpg")


READERS: dict[str, tuple[Read, str]] = {
    "boxes": (boxes, "[[1, 2, 3, 4]]"),
    "boxes after space": (boxes, " " * 100 + "[\r\n[1, 2, 3, 4]]"),
    "boxes of results": (boxes, '[ {"bbox": [1, 2, 3, 4]}]'),
    "boxes of annotations": (boxes, '{"images": [{"id": 1, "file_name": "photo.jpg"}]}'),
    "detections": (read_detections, '[{"bbox": [1, 2, 3, 4], "image_id": 1, "score": 1}]'),
    "annotations": (instances_from_coco, '{"images": [{"id": 1, "file_name": "grün"}]}'),
    "configuration": (read_config, 'models = ["nanosam"]\r\n'),
    "workers": (read_workers, '[[worker]]\r\nname = "here"\r\nkind = "local"\r\n'),
    "known failures": (read_known_failures, "failure = []\r\n"),
    "model card": (read_card, "<!-- figures: begin -->\r\n<!-- figures: end -->\r\n"),
}
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
}


@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize(("read", "text"), READERS.values(), ids=READERS)
def test_a_byte_order_mark_changes_nothing(
    tmp_path: Path, read: Read, text: str, encoding: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(text.encode())
    plain = read(file)
    file.write_bytes(MARKS[encoding] + text.encode(encoding))
    assert read(file) == plain


def an_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_large_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: takes no disk


UNREADABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pipe": (os.mkfifo, "a pipe or a device, and not a file"),
    "device": (an_endless_device, "a pipe or a device, and not a file"),
    "large": (a_large_file, "larger than"),
    "folder": (Path.mkdir, "Is a directory"),
    "missing": (lambda _: None, "No such file"),
    "half of UTF-16": (lambda path: path.write_bytes(b"\xff\xfe["), "not UTF-16"),
}


@pytest.mark.parametrize(("make", "words"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize(
    "read", [*dict.fromkeys(read for read, _ in READERS.values()), read_proposals]
)
def test_what_might_never_end_or_fit_is_refused(
    tmp_path: Path, read: Read, make: Callable[[Path], Any], words: str
) -> None:
    make(tmp_path / "file")
    with pytest.raises(BadInput, match=words) as error:
        read(tmp_path / "file")
    assert error.value.expected
    assert "Errno" not in error.value.what


@pytest.mark.parametrize("read", [read_config, read_workers, read_known_failures])
def test_a_table_in_another_encoding_is_told(tmp_path: Path, read: Read) -> None:
    (tmp_path / "file").write_bytes('# "grün"'.encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8 at byte 6"):
        read(tmp_path / "file")


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1234")
    assert utf8_of(tmp_path / "file", most_bytes=4) == b"1234"
    with pytest.raises(Malformed, match="larger than 3 bytes"):
        utf8_of(tmp_path / "file", most_bytes=3)
