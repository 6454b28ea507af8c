"""Results as files: a folder with one JSON file per cell, which may live in git.

A file is named MODEL--TARGET--KEY.json, with the first digits of the cell's key, and is written at
once or not at all. It replaces the older result of the same cell. Beside it, under the same name,
may lie a picture of the worst prompt (.jpg).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from edgekit.benchmark.figures import Figures
from edgekit.errors import BadInput
from edgekit.matrix.cells import NAME, TARGET_FILE, Cell, Identity, Place, Step
from edgekit.matrix.pictures import read_picture
from edgekit.matrix.prompts import Prompts
from edgekit.matrix.states import UNDECIDED, State
from edgekit.stages.measurement import Bench
from edgekit.store import (
    Malformed,
    out_of_bounds,
    printable,
    record_from_json,
    require_writable_folder,
    write_atomic,
)
from edgekit.verification import Judgement, Summary
from edgekit.verification.evaluation import Means

SCHEMA = 1
"""The files' version. A reader leaves others out instead of guessing."""

_MOST_BYTES = 4_000_000
"""The largest file that is read. Those that edgekit writes have a hundredth of it."""

_SECONDS = (1e-9, 1e9)
_BOUNDS = {
    "seconds": (0, 1e7),  # a hundred days: the end of a matrix is estimated from them
    **dict.fromkeys(("bundle_bytes", "peak_bytes"), (0, 2**50)),
    **dict.fromkeys(("fastest", "p50", "p90", "p99"), _SECONDS),
    **dict.fromkeys(("iou", "mean_iou", "p5_iou", "min_iou", "low", "high"), (0, 1)),
    **dict.fromkeys(("logit_error", "max_logit_error"), (0, 1e39)),
    "peak": (0, 1e18),
}
"""The least and the largest value of fields, in which all that a run can give lies."""

_KEY_DIGITS = 8
PICTURE = ".jpg"
_NAME = re.compile(r".+--.+--[0-9a-f]{8}\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Mean IoU with annotations, as `edgekit evaluate --survey` prints it.

    `ran` is "native", or "emulated by" a stand-in. `mean_iou` are the means by kind of prompt, over
    all instances first.
    """

    ran: str
    mean_iou: tuple[Means, ...]

    @property
    def overall(self) -> dict[str, float]:
        """By kind of prompt, over instances of every size."""
        return self.mean_iou[0].iou if self.mean_iou else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a cell.

    `state` is the outcome of its run and `reason` says why it is not a pass. `started` is in UTC,
    ISO 8601. `bundle_bytes` is the size of the files that the runtime loads. A part that was not
    reached is None.
    """

    cell: Cell
    identity: Identity
    state: State
    reason: str | None
    started: str
    seconds: float
    edgekit: str
    steps: tuple[Step, ...]
    bundle_bytes: int | None = None
    verdict: Judgement | None = None
    prompts: Prompts | None = None
    bench: Bench | None = None
    scores: Scores | None = None
    schema: int = SCHEMA

    @property
    def key(self) -> str:
        """The key of the cell at the time of the run."""
        return self.identity.key

    @property
    def place(self) -> Place:
        """Its place in a matrix, where only one result stands."""
        return self.cell.place(self.identity.host)

    @property
    def overall(self) -> Summary | None:
        """The figures over all prompts; None if no mask was compared."""
        return self.verdict.overall if self.verdict else None

    @property
    def bundle_figures(self) -> Figures | None:
        """The times of the bundle; None if it was not timed."""
        return _figures(self.bench, pytorch=False)

    @property
    def pytorch_figures(self) -> Figures | None:
        """The times of PyTorch in the same run; None if it was not timed."""
        return _figures(self.bench, pytorch=True)


def _figures(bench: Bench | None, *, pytorch: bool) -> Figures | None:
    listed = bench.figures if bench else ()
    return next((each for each in listed if each.runtime.startswith("torch ") is pytorch), None)


class ResultsFolder:
    """The results in a folder, one per place; of several, the newest.

    Files that could not be read are left out, and their cells count as not run.
    """

    def __init__(
        self, path: Path, results: Iterable[Result] = (), unread: Mapping[Path, str] | None = None
    ) -> None:
        self.path = path
        self._unread = dict(unread or {})
        oldest_first = sorted(results, key=lambda result: result.started)
        self._by_place = {result.place: result for result in oldest_first}
        self._by_key = {result.key: result for result in self}

    def __iter__(self) -> Iterator[Result]:
        return iter(self._by_place.values())

    @property
    def notices(self) -> tuple[str, ...]:
        """For each file that could not be read: why not, and what to do."""
        return tuple(self._unread.values())

    def known(self, cell: Cell, key: str, *, resume: bool) -> bool:
        """Whether the cell need not run: its key is here, with all measures that it asks for.

        An outcome that says nothing about the bundle counts only with `resume`.
        """
        found = self._by_key.get(key)
        if found is None or not set(cell.measures) <= set(found.cell.measures):
            return False
        return resume or found.state not in UNDECIDED

    def write(self, result: Result, picture: bytes | None = None) -> None:
        """Write a result and the picture of its worst prompt, and remove the older of its place.

        Raises:
            BadInput: the folder cannot be written.
        """
        replaced = self._by_place.get(result.place)
        path = self.path / _file_name(result)
        with suppress(OSError):  # if it cannot be removed, the write below tells why
            path.with_suffix(PICTURE).unlink(missing_ok=True)
        if picture:
            write_atomic(path.with_suffix(PICTURE), picture)
        text = json.dumps(asdict(result), indent=2, ensure_ascii=False, allow_nan=False)
        write_atomic(path, text + "\n")
        self._unread.pop(path, None)
        self._by_place[result.place] = result
        self._by_key[result.key] = result
        if replaced and (old := self.path / _file_name(replaced)) != path:
            with suppress(OSError):  # the newest of a place counts
                old.unlink(missing_ok=True)
                old.with_suffix(PICTURE).unlink(missing_ok=True)


def picture_beside(folder: Path, result: Result) -> bytes | None:
    """The picture of a result's worst prompt, a sound JPEG; None if there is none."""
    return read_picture((folder / _file_name(result)).with_suffix(PICTURE))


def open_results(path: Path) -> ResultsFolder:
    """The folder with its results; it is made if it is not there.

    Raises:
        BadInput: as `read_results`, or the folder cannot be made or written, which is found before
            the first cell runs rather than after it.
    """
    require_writable_folder(path, advice="name another with --results DIR")
    return read_results(path)


def read_results(path: Path) -> ResultsFolder:
    """The results of an existing folder. Files with other names are not read.

    A file that is damaged or of another version is left out; the folder's `notices` tell of it.

    Raises:
        BadInput: there is no such folder.
    """
    if not path.is_dir():
        raise BadInput(
            f"There is no folder {path}.", expected="a folder that `edgekit matrix` wrote"
        )
    results, unread = [], {}
    for file in sorted(path.glob("*.json")):
        if not _NAME.fullmatch(file.name) or not file.is_file():
            continue
        try:
            results.append(_read(file))
        except FileNotFoundError:  # another matrix has just replaced it
            continue
        except (Malformed, OSError) as error:
            unread[file] = (
                f"{printable(str(file))} is left out: {_reason(error)}. Delete it, or name another"
                " folder with --results."
            )
    return ResultsFolder(path, results, unread)


def _reason(error: Malformed | OSError) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)


def _read(file: Path) -> Result:
    text = _text_of(file)
    version = record_from_json(_Version, text, unknown_keys="ignore").schema
    if version != SCHEMA:
        raise Malformed((f"another version of edgekit wrote it, with schema {version}",))
    return _checked(record_from_json(Result, text))


def _text_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        text = opened.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise Malformed((f"it has more than {_MOST_BYTES:,} bytes",))
    return text


def _checked(result: Result) -> Result:
    if problems := (*_wrong_names(result.cell), *out_of_bounds(result, _BOUNDS)):
        raise Malformed(problems)
    return result


def _wrong_names(cell: Cell) -> Iterator[str]:
    for field, name in (("model", cell.model), ("target", cell.target)):
        if not NAME.fullmatch(name):
            yield f"cell.{field}: {name!r} is not a name"
    if cell.target_file is not None and (
        PurePath(cell.target_file).name != f"{cell.target}{TARGET_FILE}"
    ):
        yield f"cell.target_file: {cell.target_file!r} is not the file of {cell.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    schema: int


def _file_name(result: Result) -> str:
    return f"{printable(result.cell.name)}--{result.key[:_KEY_DIGITS]}.json"
