"""Masks as files: one binary PNG each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import BadInput

if TYPE_CHECKING:
    from edgekit.records import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFiles:
    """Where masks are written: `stem`-0.png, `stem`-1.png, ... in `folder`."""

    folder: Path
    stem: str
    numbered: bool

    def write(self, mask: BoolArray, index: int) -> Path:
        """Write a mask [H, W] as a grey PNG of the photo's size: 255 inside, 0 outside."""
        from PIL import Image

        number = f"-{index}" if self.numbered or index else ""
        path = self.folder / f"{self.stem}{number}.png"
        Image.fromarray(mask).convert("L").save(path)
        return path


def mask_files(path: Path) -> MaskFiles:
    """The files for `--masks PATH`: a .png for one mask (further ones numbered), or a folder.

    The folder is made if it does not exist.

    Raises:
        BadInput: the name ends in another suffix, or nothing can be written there.
    """
    if path.suffix.lower() == ".png" and not path.is_dir():
        if not path.parent.is_dir():
            raise _no_folder(path.parent)
        return MaskFiles(folder=path.parent, stem=path.stem, numbered=False)
    if path.suffix and not path.is_dir():
        raise BadInput(
            f"Masks cannot be written as '{path.suffix}'.",
            expected="a folder, or a file name that ends in .png",
            next_step=f"use {path.with_suffix('.png')}",
        )
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise _no_folder(path.parent) from error
    except OSError as error:
        raise BadInput(f"The folder '{path}' cannot be made: {error.strerror}.") from error
    return MaskFiles(folder=path, stem="mask", numbered=True)


def _no_folder(folder: Path) -> BadInput:
    return BadInput(
        f"The folder '{folder}' does not exist, so no mask can be written there.",
        expected="an existing folder",
        next_step=f"mkdir -p {folder}",
    )
