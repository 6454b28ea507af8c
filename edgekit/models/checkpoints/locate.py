"""Settle where a model's weights come from, before torch is imported.

The order of the default: the official files, from the cache or the network; failing that the
checkpoint that edgekit ships for the same architecture, with a warning; failing that an error.
"""

from __future__ import annotations

from pathlib import Path

from edgekit import store
from edgekit.errors import BadInput, WeightsUnavailable
from edgekit.records import ModelRow, WeightsSource

BUNDLED_LICENCE = "Apache-2.0"


def locate(
    row: ModelRow, weights: tuple[str, ...] = (), *, progress: store.Progress | None = None
) -> WeightsSource:
    """The source that `--weights` asks for; empty means the default order.

    Args:
        row: the model.
        weights: paths (several files are merged by part), or one of `official`, `bundled`,
            `seeded`, `seeded:N`.
        progress: called with (bytes done, bytes in all) while a file is downloaded.

    Raises:
        WeightsUnavailable: nothing to be had; names the file, the folder and the way out.
        BadInput: a path that is not a file, or a keyword mixed with paths.
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
    """The checkpoint shipped in the package for this model, if there is one."""
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
                f"The official {row.title} weights are not at hand, so the demonstration "
                "checkpoint that edgekit ships was taken instead. It is NOT the official model: "
                f"its masks are weaker. Reason: {unavailable.what}. For the official model take "
                f"{unavailable.expected} and {unavailable.next_step}."
            ),
        )


def _official(row: ModelRow, progress: store.Progress | None) -> WeightsSource:
    if not row.checkpoints:
        raise WeightsUnavailable(
            f"Nobody has published weights of {row.title}.",
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
    if not seed.isdecimal():
        raise BadInput(
            f"--weights {keyword}: the seed is not a number.", expected="seeded or seeded:7"
        )
    return WeightsSource(
        kind="seeded",
        licence="none",
        seed=int(seed),
        warning="Seeded weights are random numbers: for size and speed work; masks mean nothing.",
    )


def _from_paths(row: ModelRow, weights: tuple[str, ...]) -> WeightsSource:
    paths = [Path(w).expanduser() for w in weights]
    for path in paths:
        if not path.is_file():
            raise BadInput(
                f"There is no checkpoint file at {path}.",
                expected="a file, or one of official, bundled, seeded",
            )
    files = tuple(store.digest_file(path.resolve()) for path in paths)
    return WeightsSource(kind="path", licence=row.licence, files=files)
