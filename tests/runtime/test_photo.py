"""Every form of photo becomes upright uint8 RGB; anything else is an error."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, features

from edgekit.errors import BadInput
from edgekit.records import Rgb
from edgekit.runtime.photo import load_photo

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


def test_floating_point_image() -> None:
    with pytest.raises(BadInput, match="floating-point"):
        load_photo(Image.new("F", (4, 4)))


def test_values_beyond_sixteen_bits() -> None:
    with pytest.raises(BadInput, match="exceed 16 bits"):
        load_photo(Image.new("I", (4, 4), 70_000))


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
