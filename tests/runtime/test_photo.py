"""Every form of photo becomes upright uint8 RGB; anything else is an error."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import EpsImagePlugin, Image, features

import edgekit
from edgekit.errors import BadInput
from edgekit.records import Rgb
from edgekit.runtime.photo import check_photo, load_photo

ORIENTATION = 0x0112


def test_path_array_and_image_agree(photo: Rgb, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    for source in (tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.fromarray(photo)):
        assert np.array_equal(load_photo(source), photo)
    assert np.array_equal(load_photo(photo), photo)


def test_camera_orientation_is_applied(photo: Rgb, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the top of the photo is at the right of the stored pixels
    Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(load_photo(tmp_path / "turned.png"), np.rot90(photo, -1))


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1)])
def test_grey_is_repeated(shape: tuple[int, ...]) -> None:
    grey = np.arange(30, dtype=np.uint8).reshape(shape)
    rgb = load_photo(grey)
    assert rgb.shape == (6, 5, 3)
    assert (rgb == grey.reshape(6, 5, 1)).all()


@pytest.mark.parametrize("mode", ["L", "1", "LA", "CMYK", "YCbCr"])
def test_pillow_modes(mode: str, photo: Rgb) -> None:
    image = Image.fromarray(photo).convert(mode)
    assert np.array_equal(load_photo(image), np.asarray(image.convert("RGB")))


def test_alpha_is_dropped(photo: Rgb) -> None:
    with_alpha = np.dstack([photo, np.zeros((30, 40), dtype=np.uint8)])
    assert np.array_equal(load_photo(with_alpha), photo)
    assert np.array_equal(load_photo(Image.fromarray(with_alpha)), photo)


def test_palette_with_transparency(tmp_path: Path) -> None:
    """Pillow warns about this mode, and warnings fail tests."""
    palette = Image.new("P", (4, 3), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 128]))
    assert (load_photo(tmp_path / "palette.png") == (10, 200, 30)).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_grey_is_scaled_in_little_memory(tmp_path: Path, dtype: type) -> None:
    """A file of a few kB may have 89 million pixels, which all at once would take 3 GB."""
    ramp = (np.arange(4_000_000) % 60_000).reshape(2000, 2000).astype(dtype)
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    tracemalloc.start()
    pixels = load_photo(tmp_path / "deep.tif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * ramp.nbytes + pixels.nbytes + 32 * 2**20
    assert pixels[0, 0].tolist() == [0, 0, 0]


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow 12 refuses the file")
def test_damaged_exif_is_passed_over_in_silence(tmp_path: Path) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(file, "TIFF", exif=exif)
    tag = file.getvalue().replace(b"\x12\x01\x03\x00\x01", b"\x12\x01\x03\x00\xff")
    assert tag != file.getvalue()
    (tmp_path / "odd.tif").write_bytes(tag)
    assert load_photo(tmp_path / "odd.tif").shape[2] == 3


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_sixteen_bits_are_scaled_not_clipped(mode: str, tmp_path: Path) -> None:
    grey = np.array([[0, 257 * 100], [257 * 200 - 128, 65535]], dtype=np.uint16)
    image = Image.fromarray(grey)
    image = image.convert("I") if mode == "I" else image
    image.save(tmp_path / "deep.tiff")
    expected = np.array([[0, 100], [200, 255]])
    assert np.array_equal(load_photo(image)[..., 0], expected)
    assert np.array_equal(load_photo(tmp_path / "deep.tiff")[..., 1], expected)
    assert np.array_equal(load_photo(grey)[..., 2], expected)


def test_result_is_contiguous(photo: Rgb) -> None:
    assert load_photo(photo[::-1, ::2]).flags.c_contiguous


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "is not an image"),
        ("text.jpg", b"plain text", "is not an image"),
    ],
)
def test_not_an_image(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message):
        load_photo(tmp_path / name)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_truncated_file(suffix: str, photo: Rgb, tmp_path: Path) -> None:
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(photo).save(whole)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(BadInput, match=rf"cut\.{suffix}"):
        load_photo(cut)


def damaged_png() -> bytes:
    """Pillow raises SyntaxError on the invalid chunk name amid the pixels."""
    head, first, *others = saved("png", side=300).split(b"IDAT")
    return head + b"IDAT" + first + b"\x0c\x03AC" + b"IDAT".join(others)


def damaged_ppm() -> bytes:
    """Pillow raises ValueError on the height, which is not a number."""
    return b"P6\n40 3\xfc 255\n" + bytes(3600)


def damaged_dds() -> bytes:
    """Pillow raises NotImplementedError on unknown pixel format flags (header offset 80)."""
    content = bytearray(saved("dds"))
    content[80:84] = (27).to_bytes(4, "little")
    return bytes(content)


def saved(suffix: str, *, side: int = 30) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(5).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, suffix)
    return buffer.getvalue()


@pytest.mark.parametrize("content", [damaged_png(), damaged_ppm(), damaged_dds()])
def test_damaged_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        load_photo(tmp_path / "damaged")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        load_photo(tmp_path / "missing.jpg")
    with pytest.raises(BadInput, match="a folder"):
        load_photo(tmp_path)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("limit", [700, 500])
def test_pixel_limit(
    limit: int, photo: Rgb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1200 pixels. Pillow only warns up to twice the limit and raises beyond it."""
    Image.fromarray(photo).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(BadInput, match="too many pixels"):
        load_photo(tmp_path / "photo.png")


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((4, 4, 3), dtype=np.int64),
        np.zeros((4, 4, 2), dtype=np.uint8),
        np.zeros((1, 4, 4, 3), dtype=np.uint8),
        np.zeros((4,), dtype=np.uint8),
        np.zeros((0, 4, 3), dtype=np.uint8),
        np.zeros((3, 4, 5), dtype=np.uint8),
    ],
)
def test_unsuitable_arrays(pixels: np.ndarray) -> None:
    with pytest.raises(BadInput):
        load_photo(pixels)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.uint16, [0, 255], [0, 255]),  # 8 bits in 16
        (np.uint16, [0, 1023], [0, 255]),
        (np.uint16, [0, 2048, 4095], [0, 128, 255]),  # a dark 12-bit sensor
        (np.uint16, [0, 3000], [0, 187]),  # does not reach its 12 bits
        (np.uint16, [0, 16383], [0, 255]),
        (np.uint16, [0, 257 * 100, 65535], [0, 100, 255]),
        (np.uint16, [0, 0], [0, 0]),
        (np.int32, [0, 4095], [0, 255]),
        (np.int32, [0, 65535], [0, 255]),
        (np.int32, [0, 70_000], [0, 255]),  # beyond 16 bits: by range
        (np.int32, [1_000_000, 1_500_000, 2_000_000], [0, 128, 255]),
        (np.int32, [-100, 0, 100], [0, 128, 255]),
        (np.int32, [70_000, 70_000], [0, 0]),
        (np.float32, [0.0, 0.5, 1.0], [0, 128, 255]),
        (np.float32, [0.2, 0.4], [51, 102]),
        (np.float32, [0.0, 4095.0], [0, 255]),
        (np.float32, [-1.0, 0.0, 1.0], [0, 128, 255]),
        (np.float32, [7.0, 7.0], [0, 0]),
    ],
)
def test_deep_grey_is_scaled_by_its_range(
    dtype: type, values: list[float], expected: list[int], tmp_path: Path
) -> None:
    grey = np.array([values], dtype=dtype)
    image = Image.fromarray(grey)
    image.save(tmp_path / "deep.tiff")
    for source in (image, tmp_path / "deep.tiff", *([grey] if dtype == np.uint16 else [])):
        found = load_photo(source)
        assert found.shape == (1, len(values), 3)
        np.testing.assert_allclose(found[0, :, 1].astype(int), expected, atol=1)


def test_deep_colour_arrays_share_one_scale() -> None:
    colours = np.array([[[0, 1000, 4095]]], dtype=np.uint16)
    assert load_photo(colours).tolist() == [[[0, 62, 255]]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite(value: float) -> None:
    with pytest.raises(BadInput, match="not all finite"):
        load_photo(Image.fromarray(np.array([[0, value]], dtype=np.float32)))


def sixteen_bit_png(value: int) -> bytes:
    """A PNG of 16 bits per colour, which Pillow reads and does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + crc

    header = (4).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    rows = (b"\0" + value.to_bytes(2, "big") * 12) * 3
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_dark_colours_of_sixteen_bits_are_refused() -> None:
    assert load_photo(sixteen_bit_png(40_000)).max() == 40_000 >> 8
    assert load_photo(sixteen_bit_png(0)).max() == 0
    with pytest.raises(BadInput, match="nearly black"):
        load_photo(sixteen_bit_png(4095))


def test_files_in_memory(photo: Rgb) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    assert np.array_equal(load_photo(buffer), photo)  # at its end, as after writing
    assert np.array_equal(load_photo(buffer.getvalue()), photo)
    with pytest.raises(BadInput, match="not an image"):
        load_photo(b"plain text")


def closed() -> io.BytesIO:
    stream = io.BytesIO(b"1")
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [closed(), io.StringIO("text"), SimpleNamespace(read=3)])
def test_streams_that_give_no_bytes(stream: Any) -> None:
    with pytest.raises(BadInput, match=r"cannot be read from the .*: "):
        load_photo(stream)


def test_a_pipe_is_read_once(photo: Rgb, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "a.png")
    with subprocess.Popen(["cat", tmp_path / "a.png"], stdout=subprocess.PIPE) as piped:
        assert piped.stdout is not None
        assert np.array_equal(load_photo(piped.stdout), photo)


def heic(brand: bytes, *others: bytes) -> bytes:
    body = b"ftyp" + brand + bytes(4) + b"".join(others)
    return (len(body) + 4).to_bytes(4, "big") + body + bytes(300)


@pytest.mark.parametrize("content", [heic(b"heic"), heic(b"mif1", b"heic"), heic(b"heix")])
@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.jpg"])
def test_heic_is_named(
    content: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=rf"{name} is an iPhone HEIC photo") as caught:
        load_photo(tmp_path / name)
    assert caught.value.next_step == "convert it to JPEG, or pip install pillow-heif"


def test_heic_is_read_where_its_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    package = SimpleNamespace(register_heif_opener=lambda: called.append(True))
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    (tmp_path / "a.heic").write_bytes(heic(b"heic"))
    with pytest.raises(BadInput, match="not an image"):  # the stand-in opens nothing
        load_photo(tmp_path / "a.heic")
    assert called == [True]


@pytest.mark.parametrize("suffix", ["avif", "gif", "webp", "bmp", "jpg", "png", "tiff"])
def test_formats(suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", (32, 24), (200, 40, 40)).save(tmp_path / f"a.{suffix}")
    assert load_photo(tmp_path / f"a.{suffix}").shape == (24, 32, 3)
    check_photo(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_check_finds_a_truncated_file(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"cut.{suffix}").write_bytes(saved("jpeg" if suffix == "jpg" else suffix)[:-600])
    with pytest.raises(BadInput, match="cut"):
        check_photo(tmp_path / f"cut.{suffix}")


class Tensor:
    """What a torch tensor is known by: this package never imports torch."""

    def detach(self) -> None: ...
    def numpy(self) -> None: ...


def test_a_tensor_is_told_the_call() -> None:
    with pytest.raises(BadInput, match=r"permute\(1, 2, 0\)\.cpu\(\)\.numpy\(\)"):
        load_photo(Tensor())  # type: ignore[arg-type]


def test_unsupported_type() -> None:
    with pytest.raises(BadInput, match="list"):
        load_photo([[1, 2], [3, 4]])  # type: ignore[arg-type]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that Ghostscript would write, were it started."""
    marker, program = tmp_path / "started", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return marker


@pytest.mark.parametrize("kind", ["EPS", "PPM", "TGA", "ICO", "PCX", "SGI", "JPEG2000", "DDS"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_other_formats_are_refused(
    tmp_path: Path, started: Path, photo: Rgb, kind: str, suffix: str
) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(photo).save(path, format=kind)
    with pytest.raises(BadInput, match="not an image") as caught:
        load_photo(path)
    assert "JPEG, PNG" in str(caught.value)
    assert not started.exists()


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_formats_of_photos_are_opened_whatever_their_name(
    tmp_path: Path, photo: Rgb, kind: str
) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    Image.fromarray(photo).save(tmp_path / "photo.jpg", format=kind)
    assert load_photo(tmp_path / "photo.jpg").shape == photo.shape


def test_every_reader_of_photos_names_the_formats() -> None:
    """A photo's header is read elsewhere too; Pillow's default is every format that it knows."""
    for file in Path(edgekit.__file__).parent.rglob("*.py"):
        others = re.sub(r"Image\.open\([^,\n]+, formats=", "", file.read_text())
        assert "Image.open(" not in others, file
