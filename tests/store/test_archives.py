"""A bundle's .zip opens like its folder; one that no packer of bundles writes is refused."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.errors import BundleCorrupt
from edgekit.store import archives, cache_entries, read_bundle
from tests.manifests import change_manifest

Change = Callable[[zipfile.ZipFile, Path], None]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))


def zipped(bundle: Path, top: str = "", change: Change | None = None) -> Path:
    """`mine.zip` beside the bundle with its files below `top`; `change` adds to it."""
    archive = bundle.parent / "mine.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(bundle.rglob("*")):
            opened.write(file, top + file.relative_to(bundle).as_posix())
        if change:
            change(opened, bundle)
    return archive


def refusal(archive: Path) -> str:
    with pytest.raises(BundleCorrupt) as caught:
        read_bundle(archive)
    assert str(archive) in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.next_step
    assert not cache_entries()
    return caught.value.what


@pytest.mark.parametrize("top", ["", "nanosam-x86-fp32/", "other name/"])
def test_a_zip_opens_with_one_top_folder_or_none(bundle: Path, top: str) -> None:
    opened = read_bundle(zipped(bundle, top))
    assert opened.manifest == read_bundle(bundle).manifest
    assert opened.name == "mine"
    assert (opened.path / "golden" / "case-0.npz").read_bytes() == b"golden"


def test_a_zip_is_unpacked_once_by_its_content(bundle: Path) -> None:
    archive = zipped(bundle)
    first = read_bundle(archive)
    again = read_bundle(archive.rename(archive.with_name("renamed")))
    assert again.path == first.path
    assert again.name == "renamed"
    (first.path / "encoder.onnx").write_bytes(b"damaged in the cache")
    assert read_bundle(again.archive or archive).path == first.path


def test_only_listed_files_are_unpacked(bundle: Path) -> None:
    (bundle / "weights.bin").write_bytes(b"not listed")
    (bundle / "README.md").write_text("not listed either")
    names = {
        file.relative_to(opened.path).as_posix()
        for opened in [read_bundle(zipped(bundle))]
        for file in opened.path.rglob("[!.]*")
        if file.is_file()
    }
    assert names == {"manifest.json", "encoder.onnx", "decoder.onnx", "golden/case-0.npz"}


def test_a_zip_without_golden_vectors_opens(bundle: Path) -> None:
    (bundle / "golden" / "case-0.npz").unlink()
    assert read_bundle(zipped(bundle))


def test_what_macos_adds_is_passed_over(bundle: Path) -> None:
    def add(opened: zipfile.ZipFile, _: Path) -> None:
        opened.writestr("__MACOSX/x/._manifest.json", b"resource fork")
        opened.writestr("x/.DS_Store", b"")

    assert read_bundle(zipped(bundle, "x/", add))


def named(name: str) -> Change:
    return lambda opened, _: opened.writestr(zipfile.ZipInfo(name), b"x")


def with_mode(mode: int) -> Change:
    def add(opened: zipfile.ZipFile, _: Path) -> None:
        info = zipfile.ZipInfo("latest")
        info.external_attr = (mode | 0o777) << 16
        opened.writestr(info, b"/etc/passwd")

    return add


def packed_by(method: int) -> Change:
    return lambda opened, _: opened.writestr("notes.txt", b"x", compress_type=method)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (named("../encoder.onnx"), "../encoder.onnx is not a plain path"),
        (named("golden/../../x"), "is not a plain path"),
        (named("/etc/cron.d/x"), "/etc/cron.d/x is not a plain path"),
        (named("//server/share"), "is not a plain path"),
        (named("C:/Windows/win.ini"), "is not a plain path"),
        (named("encoder.onnx:stream"), "is not a plain path"),
        (named("..\\..\\encoder.onnx"), "is not a plain path"),
        (named("golden\\case.npz"), "is not a plain path"),
        (named("./encoder.onnx"), "is not a plain path"),
        (named("a//b"), "is not a plain path"),
        (named("\x1b[2J"), "is not plain UTF-8 text"),
        (named("line\nbreak"), "is not plain UTF-8 text"),
        (named("/".join("d" * 11)), "lies more than 8 folders deep"),
        (named("encoder.onnx"), "encoder.onnx is there twice"),
        (named("Encoder.ONNX"), "encoder.onnx is there twice"),
        (with_mode(stat.S_IFLNK), "latest is a link or a device"),
        (with_mode(stat.S_IFCHR), "latest is a link or a device"),
        (with_mode(stat.S_IFIFO), "latest is a link or a device"),
        (packed_by(zipfile.ZIP_LZMA), "by another method than deflate"),
        (packed_by(zipfile.ZIP_BZIP2), "by another method than deflate"),
    ],
)
def test_members_that_no_packer_of_a_bundle_writes(
    bundle: Path, change: Change, problem: str
) -> None:
    assert problem in refusal(zipped(bundle, change=change))


def test_a_listed_file_that_is_also_a_folder(bundle: Path) -> None:
    change_manifest(bundle, lambda m: m["golden"][0].update(path="encoder.onnx/inside"))
    archive = zipped(
        bundle, change=lambda opened, _: opened.writestr("encoder.onnx/inside", b"golden")
    )
    assert "perhaps also as a folder" in refusal(archive)


def patched(archive: Path, name: bytes, change: Callable[[bytearray, int, int], None]) -> Path:
    """Change the local and the central header of a member, which start at the two numbers."""
    content = bytearray(archive.read_bytes())
    central = content.rindex(name) - 46
    change(content, content.index(name) - 30, central)
    archive.write_bytes(content)
    return archive


def flagged(bit: int) -> Callable[[bytearray, int, int], None]:
    def change(content: bytearray, local: int, central: int) -> None:
        content[local + 6] |= bit
        content[central + 8] |= bit

    return change


def test_an_encrypted_member(bundle: Path) -> None:
    archive = patched(zipped(bundle), b"encoder.onnx", flagged(1))
    assert "encoder.onnx is encrypted" in refusal(archive)


@pytest.mark.parametrize("utf8", [True, False])
def test_a_name_that_is_not_utf8(bundle: Path, utf8: bool) -> None:
    archive = zipped(bundle, change=named("caf_.txt"))

    def change(content: bytearray, local: int, central: int) -> None:
        content[local + 33] = content[central + 49] = 0xE9  # Latin-1
        content[local + 7] |= 8 * utf8
        content[central + 9] |= 8 * utf8

    message = refusal(patched(archive, b"caf_.txt", change))
    assert "UTF-8" in message or "damaged" in message


def test_a_member_that_declares_less_than_it_holds(bundle: Path) -> None:
    def change(content: bytearray, local: int, central: int) -> None:
        struct.pack_into("<I", content, local + 22, 5)
        struct.pack_into("<I", content, central + 24, 5)

    archive = patched(zipped(bundle), b"encoder.onnx", change)
    assert "encoder.onnx has 5 bytes instead of 20" in refusal(archive)


@pytest.mark.parametrize("declared", [2**31, 2**20])
def test_a_member_that_declares_more_than_it_holds(bundle: Path, declared: int) -> None:
    change_manifest(bundle, lambda m: m["artifacts"][0]["files"][0].update(bytes=declared))

    def change(content: bytearray, local: int, central: int) -> None:
        struct.pack_into("<I", content, local + 22, declared)
        struct.pack_into("<I", content, central + 24, declared)

    message = refusal(patched(zipped(bundle), b"encoder.onnx", change))
    assert "bundles do not compress so" in message or "instead of" in message


def test_a_bomb_of_zeros(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_ALWAYS_TAKEN", 2**10)
    (bundle / "encoder.onnx").write_bytes(bytes(10**7))
    change_manifest(bundle, lambda m: m["artifacts"][0]["files"][0].update(bytes=10**7))
    assert "bundles do not compress so" in refusal(zipped(bundle))


def test_a_bomb_in_place_of_the_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").write_bytes(b" " * (9 * 2**20))
    assert "manifest.json is larger than" in refusal(zipped(bundle))


@pytest.mark.slow
def test_a_listing_of_very_many_members(bundle: Path) -> None:
    def add(opened: zipfile.ZipFile, _: Path) -> None:
        for number in range(40_000):
            opened.writestr(f"{number:040}", b"")

    assert "its listing is longer than any bundle's" in refusal(zipped(bundle, change=add))


def test_a_listed_file_that_was_changed(bundle: Path) -> None:
    (bundle / "encoder.onnx").write_bytes(b"graph of the decoder")
    assert "encoder.onnx was changed: its SHA-256 differs" in refusal(zipped(bundle))


@pytest.mark.parametrize("top", ["a/b/", "MANIFEST/"])
def test_the_manifest_is_at_the_top_or_in_one_folder(bundle: Path, top: str) -> None:
    if top == "MANIFEST/":
        (bundle / "manifest.json").unlink()
    assert "no manifest.json at its top or in one top folder" in refusal(zipped(bundle, top))


def test_files_beside_the_top_folder_are_not_the_bundles(bundle: Path) -> None:
    (bundle / "encoder.onnx").rename(bundle / "aside")
    archive = zipped(bundle, "top/", lambda opened, b: opened.write(b / "aside", "encoder.onnx"))
    with pytest.raises(BundleCorrupt, match=r"encoder\.onnx is missing"):
        read_bundle(archive)


def test_two_bundles_in_one_zip(bundle: Path) -> None:
    archive = zipped(
        bundle, "one/", lambda opened, b: opened.write(b / "manifest.json", "two/manifest.json")
    )
    assert "in one top folder" in refusal(archive)


@pytest.mark.parametrize("kept", [3, 30, 200, 0.5, 0.9, -1])
def test_a_zip_that_was_cut_off(bundle: Path, kept: float) -> None:
    archive = zipped(bundle)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content)) if 0 < kept < 1 else int(kept)])
    assert "zip" in refusal(archive)


def test_a_file_that_is_no_zip(bundle: Path) -> None:
    file = bundle.parent / "nanosam.tar.gz"
    file.write_bytes(b"\x1f\x8b" + bytes(100))
    assert "is a file and not a .zip" in refusal(file)


@pytest.mark.slow
def test_every_damage_of_one_byte_is_refused_or_harmless(bundle: Path) -> None:
    archive = zipped(bundle)
    content = archive.read_bytes()
    outcomes = io.StringIO()
    places = {*range(0, len(content), 17), *range(len(content) - 300, len(content))}
    for place in sorted(places):  # the listing is at the end
        damaged = bytearray(content)
        damaged[place] ^= 0x41
        archive.write_bytes(damaged)
        try:
            read_bundle(archive)
        except BundleCorrupt as error:
            outcomes.write(error.what)
    assert "zip is damaged" in outcomes.getvalue()
