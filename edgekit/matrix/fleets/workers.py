"""The machines of a fleet as a TOML table, `--fleet WORKERS.toml`.

[[worker]]
name = "orin"
kind = "ssh"
labels = ["jetson-orin"]
host = "user@orin.local"
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.catalog.tables import record_from_toml
from edgekit.errors import BadInput
from edgekit.store import Malformed

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_HOST = re.compile(r"[A-Za-z0-9_][\w.@:%\[\]-]*")
_PYTHON, _FOLDER = "python3", "edgekit-worker"
_SCHEDULER = re.compile(r"(tcp|tls|ucx|wss?)://\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One machine, or one Dask cluster.

    Attributes:
        name: what it is called in messages.
        kind: "local" for this machine, "ssh" or "dask".
        labels: the targets that it runs, by their `label`. Empty: all, or of a Dask cluster those
            that its workers announce. A target goes to the first row that has its label.
        host: for ssh, as on its command line; `~/.ssh/config` holds.
        python: for ssh, the Python to run there, 3.10 or later.
        folder: for ssh, where edgekit and its cells are put, relative to the home folder.
        scheduler: the address of a Dask scheduler.
    """

    name: str
    kind: Literal["local", "ssh", "dask"]
    labels: tuple[str, ...] = ()
    host: str | None = None
    python: str = _PYTHON
    folder: str = _FOLDER
    scheduler: str | None = None

    def serves(self, label: str) -> bool:
        """Whether it runs targets with this label, as far as its row tells."""
        return not self.labels or label in self.labels


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    worker: tuple[Worker, ...] = ()


def read_workers(path: Path) -> tuple[Worker, ...]:
    """The workers of a table.

    Raises:
        BadInput: the file is not there or does not read; all errors are listed.
    """
    try:
        workers = record_from_toml(_Table, path).worker
        if problems := tuple(_problems(workers)):
            raise Malformed(problems)
    except Malformed as error:
        raise BadInput(
            f"The fleet {path} cannot be read: {error}",
            expected="[[worker]] with name and kind: 'local'; 'ssh' with host and labels, and "
            "python and folder if need be; or 'dask' with scheduler",
        ) from error
    return workers


def _problems(workers: tuple[Worker, ...]) -> Iterator[str]:
    if not workers:
        yield "it has no [[worker]]"
    names = [worker.name for worker in workers]
    for index, worker in enumerate(workers):
        where = f"worker.{index}"
        if not _NAME.fullmatch(worker.name) or names.count(worker.name) > 1:
            yield f"{where}.name: must be a word that no other worker has"
        for label in worker.labels:
            if not _NAME.fullmatch(label):
                yield f"{where}.labels: {label!r} is not a word"
        for problem in (*_problems_of_kind(worker), *_problems_of_paths(worker)):
            yield f"{where}.{problem}"


def _problems_of_kind(worker: Worker) -> Iterator[str]:
    if (worker.host is not None) != (worker.kind == "ssh"):
        yield "host: is for kind 'ssh', which needs it"
    elif worker.host is not None and not _HOST.fullmatch(worker.host):
        yield "host: must be HOST or USER@HOST, as ssh takes it"
    if worker.kind == "ssh" and not worker.labels:
        yield "labels: are missing; they say which targets the device is for"
    if (worker.scheduler is not None) != (worker.kind == "dask"):
        yield "scheduler: is for kind 'dask', which needs it"
    elif worker.scheduler is not None and not _SCHEDULER.fullmatch(worker.scheduler):
        yield "scheduler: must be an address such as tcp://10.0.0.2:8786"


def _problems_of_paths(worker: Worker) -> Iterator[str]:
    given = {"python": (worker.python, _PYTHON), "folder": (worker.folder, _FOLDER)}
    for field, (path, usual) in given.items():
        if worker.kind != "ssh" and path != usual:
            yield f"{field}: is for kind 'ssh'"
        elif not path.strip() or not path.isprintable():
            yield f"{field}: must be a path on the device"
