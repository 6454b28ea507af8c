"""The files that a `--weights` value names: a file, `FILE#KEY`, a folder, an index or its shards.

Hugging Face splits a large model into shards, `model-00001-of-00003.safetensors`, with an index
that says which tensor is in which. Any one of them, the index and the folder all name the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from edgekit.errors import BadInput
from edgekit.store import user_path, utf8_of

_SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.\w+)$")
_INDEX = ".index.json"
_CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".onnx")
_LARGEST_INDEX = 16 << 20  # bytes; ViT-H's index has 60 kB
_LISTED = 3


def split_key(text: str) -> tuple[Path, str | None]:
    """The path and the key of `FILE#KEY`; a file whose own name holds a `#` has no key.

    Raises:
        BadInput: `~name` names a user who has no home folder.
    """
    path, mark, key = text.rpartition("#")
    if not mark or _exists(user_path(text)):
        return user_path(text), None
    return user_path(path), key


def _exists(path: Path) -> bool:
    """Whether there is a file or folder; a name that is too long is none."""
    try:
        return path.exists()
    except OSError:
        return False


def expand(path: Path) -> tuple[Path, ...]:
    """The files that together hold what the path names, in order.

    Raises:
        BadInput: there is nothing there, a shard is missing, or a folder holds several checkpoints.
    """
    if _exists(path) and path.is_dir():
        return expand(_only_checkpoint(path))
    if not _exists(path) or not path.is_file():
        raise BadInput(
            f"There is no checkpoint file at {path}.",
            expected="a file or a folder, FILE#KEY, or one of official, bundled, seeded",
        )
    if path.name.endswith(_INDEX):
        return _require(path, _listed_in(path))
    match = _SHARD.match(path.name)
    if match is None:
        return (path,)
    count = int(match["count"])
    names = (
        f"{match['stem']}-{i + 1:05}-of-{match['count']}{match['suffix']}"
        for i in range(min(count, 1000))
    )
    return _require(path, names)


def groups(paths: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The values that belong together: the shards of one model, or a single file."""
    found: dict[str, list[str]] = {}
    for text in paths:
        path, _ = split_key(text)
        match = _SHARD.match(path.name)
        stem = f"{match['stem']}-of-{match['count']}" if match else None
        found.setdefault(str(path.parent / stem) if stem else text, []).append(text)
    return tuple(tuple(group) for group in found.values())


def _require(given: Path, names: Iterable[str]) -> tuple[Path, ...]:
    shards = tuple(given.parent / name for name in names)
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise BadInput(
            f"{given.name} is a part of a model in {len(shards)} files, of which "
            f"{len(missing)} are missing: {', '.join(missing[:_LISTED])}.",
            expected=f"all of them in {given.parent}",
            next_step="download the missing files into the same folder",
        )
    return shards


def _listed_in(index: Path) -> tuple[str, ...]:
    """The names of an index's shards, which must lie beside it."""
    from pydantic_core import from_json  # bounds the nesting, as json.loads does not

    try:
        listed = from_json(utf8_of(index, most_bytes=_LARGEST_INDEX))["weight_map"].values()
        names = tuple(sorted({str(name) for name in listed}))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise BadInput(
            f"{index.name} is not the index of a model's shards.",
            expected='JSON with "weight_map": {"TENSOR": "FILE"}',
        ) from error
    outside = [name for name in names if Path(name).name != name or "\\" in name]
    if outside or not names:
        raise BadInput(
            f"{index.name} names no shards beside it.", expected="files in the index's own folder"
        )
    return names


def _only_checkpoint(folder: Path) -> Path:
    """The index, the one set of shards or the one checkpoint of a folder."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_file())
    indices = [entry for entry in entries if entry.name.endswith(_INDEX)]
    found = indices or [entry for entry in entries if entry.suffix.lower() in _CHECKPOINTS]
    sets = {group[0] for group in groups(str(entry) for entry in found)}
    preferred = [text for text in sets if ".safetensors" in Path(text).name]
    if len(sets) == 1 or len(preferred) == 1:
        return Path((preferred or sorted(sets))[0])
    if not sets:
        raise BadInput(
            f"There is no checkpoint in {folder}.", expected=f"one {', '.join(_CHECKPOINTS)} file"
        )
    names = ", ".join(sorted(Path(text).name for text in sets)[:_LISTED])
    raise BadInput(
        f"{folder} holds {len(sets)} checkpoints: {names}.",
        expected="one of them",
        next_step=f"--weights {Path(min(sets))}",
    )
