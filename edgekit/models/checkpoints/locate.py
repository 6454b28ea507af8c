"""Decides where a model's weights come from, before torch is imported.

By default these are the official files, from the cache or the network. If they cannot be had, it is
the checkpoint that edgekit ships for the same architecture, with a warning. If there is none
either, it is an error.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from edgekit import store
from edgekit.errors import BadInput, WeightsUnavailable
from edgekit.models.checkpoints.address import expand, split_key
from edgekit.records import FileDigest, ModelRow, WeightsSource

BUNDLED_LICENCE = "Apache-2.0"
UNKNOWN_LICENCE = "unknown"

_SEED = re.compile(r"[0-9]{1,18}")


def locate(
    row: ModelRow, weights: tuple[str, ...] = (), *, progress: store.Progress | None = None
) -> WeightsSource:
    """The source that `--weights` asks for.

    Args:
        row: the model.
        weights: paths, each of which may supply a part of the model; `FILE#KEY` for one of several
            state dicts in a file; a folder or index of shards; or one of `official`, `bundled`,
            `seeded`, `seeded:N`; or nothing, for the default.
        progress: called with (bytes done, bytes in all) while a file is downloaded.

    Raises:
        WeightsUnavailable: the files cannot be had; the message names the file, the folder to put
            it into and the next step.
        BadInput: a path is not a file, or a keyword is mixed with paths.
    """
    if not weights:
        return _default(row, progress)
    keyword = weights[0].partition(":")[0]
    if keyword not in ("official", "bundled", "seeded"):
        return _from_paths(row, weights)
    if len(weights) > 1:
        raise BadInput(
            f"--weights {weights[0]} cannot be combined with other weights.",
            expected="one of official, bundled, seeded; or one or more files",
        )
    if keyword == "seeded":
        return _seeded(weights[0])
    return _official(row, progress) if keyword == "official" else _bundled(row)


def bundled_path(row: ModelRow) -> Path | None:
    """The checkpoint that the package ships for this model, or None."""
    path = Path(__file__).parents[1] / "bundled" / f"{row.name}.safetensors"
    return path if path.is_file() else None


def _default(row: ModelRow, progress: store.Progress | None) -> WeightsSource:
    try:
        return _official(row, progress)
    except WeightsUnavailable as unavailable:
        if bundled_path(row) is None:
            raise
        return _bundled(
            row,
            warning=(
                f"The official weights of {row.title} are not available, so the demonstration "
                "checkpoint that edgekit ships is used. It is NOT the official model: its masks "
                f"are worse. Reason: {unavailable.what}. For the official model take "
                f"{unavailable.expected} and give it with --weights FILE, or use --weights seeded "
                "for random weights."
            ),
        )


def _official(row: ModelRow, progress: store.Progress | None) -> WeightsSource:
    if not row.checkpoints:
        raise WeightsUnavailable(
            f"No weights of {row.title} have been published.",
            expected="a checkpoint of your own under SAM's names",
            next_step="--weights PATH, or --weights seeded for size and speed work",
        )
    files = [store.download(file, progress=progress) for file in row.checkpoints]
    return WeightsSource(
        kind="official", licence=row.licence, files=tuple(store.digest_file(f) for f in files)
    )


def _bundled(row: ModelRow, *, warning: str | None = None) -> WeightsSource:
    path = bundled_path(row)
    if path is None:
        raise WeightsUnavailable(
            f"edgekit ships no checkpoint of {row.name}.",
            next_step="--weights official, a path, or --weights seeded for size and speed work",
        )
    return WeightsSource(
        kind="bundled",
        licence=BUNDLED_LICENCE,
        files=(store.digest_file(path),),
        warning=warning,
    )


def _seeded(keyword: str) -> WeightsSource:
    seed = keyword.partition(":")[2] or "0"
    if not _SEED.fullmatch(seed):
        raise BadInput(
            f"--weights {store.printable(keyword)}: the seed is not a number.",
            expected="seeded or seeded:7, with at most 18 digits",
        )
    return WeightsSource(
        kind="seeded",
        licence="none",
        seed=int(seed),
        warning="Seeded weights are random, for work on size and speed: masks mean nothing.",
    )


def _from_paths(row: ModelRow, weights: tuple[str, ...]) -> WeightsSource:
    named = ((path, key) for path, key in map(split_key, weights))
    found = dict.fromkeys((file, key) for path, key in named for file in expand(path))
    files = tuple(_digest(path, key) for path, key in found)
    return WeightsSource(kind="path", licence=_licence_of(files, row), files=files)


def _digest(path: Path, key: str | None) -> FileDigest:
    """The digest of a file, whose path keeps the key of `FILE#KEY`."""
    where = path.absolute().as_posix()  # links kept: the Hugging Face cache has hashes behind them
    named = where if key is None else f"{where}#{key}"
    return replace(store.digest_file(path), path=named)


def _licence_of(files: tuple[FileDigest, ...], row: ModelRow) -> str:
    """The row's licence for the published files; that of a user's own file is theirs to say."""
    published = {file.sha256 for file in row.checkpoints}
    return row.licence if {file.sha256 for file in files} <= published else UNKNOWN_LICENCE
