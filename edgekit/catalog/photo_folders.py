"""Where the photos of a COCO JSON lie.

COCO's own layout is annotations/instances_val2017.json beside val2017/. Others put the photos
beside the JSON, in images/, or in images/val2017/. No other folder is searched: a photo of the same
name from another split would be segmented in place of the one that was annotated.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from edgekit.errors import BadInput

_ANNOTATION_FOLDERS = frozenset({"annotations", "annotation", "labels"})
_SPLITS = ("train2017", "val2017", "train2014", "val2014")


def photo_folders(annotations: Path, photo_dir: Path | None) -> tuple[Path, ...]:
    """The existing folders in which the photos of a JSON are searched, in this order.

    `photo_dir`, then the JSON's folder and, if that is named `annotations`, the folder around it:
    in each of them the folder itself, the one named for the JSON's split, and `images`.

    Raises:
        BadInput: `photo_dir` is not a folder.
    """
    if photo_dir is not None and not photo_dir.is_dir():
        raise BadInput(f"there is no folder {photo_dir}", expected="the folder of the photos")
    parent = annotations.parent
    roots = [photo_dir, parent]
    if parent.absolute().name.lower() in _ANNOTATION_FOLDERS:
        roots.append(parent.absolute().parent)
    split = annotations.stem.rpartition("_")[2]
    below = ("", split, f"images/{split}", "images", *_SPLITS)
    folders = (root / name for root in roots if root for name in below)
    return tuple(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def photo_file(name: str, folders: tuple[Path, ...]) -> Path | str:
    """The path of a photo of a JSON, or what is wrong with its name.

    A backslash separates folders, as on Windows. Links are followed: data sets kept by DVC,
    git-annex or a hub cache are folders of links.
    """
    plain, windows = PurePosixPath(name), PureWindowsPath(name)
    if not name.isprintable() or windows.anchor or plain.is_absolute():
        return "is not a relative file name"
    if ".." in windows.parts:
        return "leads out of the folder"
    with suppress(OSError):  # the name is longer than the file system allows
        for folder in folders:
            for written in dict.fromkeys((name, windows.as_posix())):
                if (folder / written).is_file():
                    return folder / written
    return "is missing"
