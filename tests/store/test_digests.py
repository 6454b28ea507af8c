from __future__ import annotations

import hashlib
from pathlib import Path

from edgekit.records import FileDigest
from edgekit.store import content_key, digest_file, sha256_of

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == ABC


def test_sha256_of_a_file_larger_than_a_buffer(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "large").write_bytes(content)
    assert sha256_of(tmp_path / "large") == hashlib.sha256(content).hexdigest()


def test_digest_names_the_file_relative_or_absolute(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "abc"
    file.write_bytes(b"abc")
    assert digest_file(file, tmp_path) == FileDigest(path="a/abc", sha256=ABC, bytes=3)
    assert digest_file(file).path == file.resolve().as_posix()


def test_content_key_depends_on_every_part_and_on_the_split() -> None:
    keys = [
        content_key("ab", "c"),
        content_key("a", "bc"),
        content_key("abc"),
        content_key("c", "ab"),
        content_key("ab", "c", ""),
        content_key(),
    ]
    assert len(set(keys)) == len(keys)
    assert content_key("ab", "c") == keys[0]
    assert len(keys[0]) >= 24
