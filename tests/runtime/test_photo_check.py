"""Photos that cannot be read are found before the work starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from edgekit.catalog import photos_from
from edgekit.errors import BadInput
from edgekit.runtime.photo_check import require_readable


def fill(folder: Path, *, damaged: int) -> Path:
    """Eight photos, of which the first `damaged` are cut off."""
    for index in range(8):
        file = folder / f"{index}.jpg"
        Image.effect_noise((64, 48), 90).save(file)
        if index < damaged:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return folder


def test_sound_photos_pass(tmp_path: Path) -> None:
    require_readable(photos_from(fill(tmp_path, damaged=0)))


@pytest.mark.parametrize(("damaged", "more"), [(1, ""), (3, ""), (7, "and 4 more")])
def test_three_are_named_and_the_others_counted(tmp_path: Path, damaged: int, more: str) -> None:
    with pytest.raises(BadInput, match=rf"{damaged} of 8 photos cannot be read") as caught:
        require_readable(photos_from(fill(tmp_path, damaged=damaged)))
    named = [f"{index}.jpg" for index in range(8) if f"{index}.jpg" in caught.value.what]
    assert len(named) == min(damaged, 3)
    assert caught.value.what.endswith(more)


def test_the_way_out_of_heic_is_told(tmp_path: Path) -> None:
    (fill(tmp_path, damaged=0) / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(300))
    with pytest.raises(BadInput, match=r"a\.HEIC is an iPhone HEIC photo") as caught:
        require_readable(photos_from(tmp_path))
    assert "pillow-heif" in (caught.value.next_step or "")
