"""The story of a matrix: which cells are asked for, which of them run, and what became of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from threading import Event, Lock

from edgekit import catalog
from edgekit.errors import BadInput, EdgekitError
from edgekit.matrix.cells import Cell, Identity, Place
from edgekit.matrix.config import MatrixRequest
from edgekit.matrix.estimate import Estimate
from edgekit.matrix.fleets import Fleet
from edgekit.matrix.identity import identity_of
from edgekit.matrix.known import FILE, KnownFailure, read_known_failures
from edgekit.matrix.outcome import picture_of, result_of, result_without_host
from edgekit.matrix.overview import Overview, overview_of
from edgekit.matrix.results import Result, ResultsFolder, open_results, read_results
from edgekit.matrix.selection import (
    CHANGED,
    cells_of,
    require_annotations,
    require_weights,
    selected_models,
    selected_targets,
    shard_of,
)
from edgekit.matrix.watch import Watch
from edgekit.records import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A cell that is to run, its target's profile, and its identity on its host."""

    cell: Cell
    target: Target
    identity: Identity

    @property
    def place(self) -> Place:
        """Where its result stands."""
        return self.cell.place(self.identity.host)


def run_matrix(request: MatrixRequest, fleet: Fleet, *, watch: Watch) -> Overview:
    """Run the cells that have no result yet, and tell what became of all.

    A result is written as soon as its cell ends, so that an interrupted matrix loses only the cells
    that were running.

    Raises:
        UnknownName: a model or target is not known.
        BadInput: the request contradicts itself, or the results folder cannot be used.
    """
    known = _known_failures(request)
    asked: list[Place] | None = None
    if not request.models and not request.targets:
        folder = read_results(request.results)
    else:
        profile = cache(catalog.target_or_file)
        jobs = [_job(cell, profile(cell.asked_target), fleet) for cell in _cells(request)]
        folder = open_results(request.results)
        waiting = [job for job in jobs if not _is_known(job, folder, request)]
        asked = [job.place for job in (waiting if _only_changed(request) else jobs)]
        run_jobs(waiting, fleet, folder, watch=watch)
    return overview_of(
        folder, asked=asked, fleet=fleet, known=known, today=datetime.now(timezone.utc).date()
    )


def _cells(request: MatrixRequest) -> tuple[Cell, ...]:
    for name, given in (("--models", request.models), ("--targets", request.targets)):
        if not given:
            raise BadInput(
                f"{name} is missing.",
                expected="names, globs or words for both models and targets",
                next_step=f"add {name} canary, or {name} all",
            )
    require_weights(request.weights)
    require_annotations(request.measures, request.photos)
    cells = cells_of(
        selected_models(request.models),
        selected_targets(request.targets),
        weights=request.weights,
        photos=request.photos,
        measures=request.measures,
    )
    return shard_of(cells, request.shard) if request.shard else cells


def _only_changed(request: MatrixRequest) -> bool:
    words = (word for text in (*request.models, *request.targets) for word in text.split(","))
    return CHANGED in words


def _is_known(job: Job, folder: ResultsFolder, request: MatrixRequest) -> bool:
    return folder.known(job.cell, job.identity.key, resume=request.resume)


def _job(cell: Cell, target: Target, fleet: Fleet) -> Job:
    return Job(cell=cell, target=target, identity=identity_of(cell, target, fleet.host(target)))


def run_jobs(jobs: Sequence[Job], fleet: Fleet, folder: ResultsFolder, *, watch: Watch) -> None:
    """Run jobs on the fleet and write each result when it comes.

    Each host has a queue of its own, so that none waits for the cells of another.
    """
    hosts = {job.identity.host.label: job.identity.host for job in jobs}
    capacities = {label: fleet.capacity(host) for label, host in hosts.items()}
    run = _Run(jobs, fleet, folder, watch, capacities)
    with ExitStack() as stack:
        pools = {
            label: stack.enter_context(ThreadPoolExecutor(count))
            for label, count in capacities.items()
        }
        futures = [pools[job.identity.host.label].submit(run.job, job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            run.interrupted.set()
            for pool in pools.values():
                pool.shutdown(wait=False, cancel_futures=True)
            fleet.stop()
            raise


class _Run:
    """The jobs that are left. A thread that has run one writes its result itself, at once."""

    def __init__(
        self,
        jobs: Sequence[Job],
        fleet: Fleet,
        folder: ResultsFolder,
        watch: Watch,
        capacities: Mapping[str, int],
    ) -> None:
        self.interrupted = Event()
        self._fleet, self._folder, self._watch = fleet, folder, watch
        self._left = {job.place for job in jobs}
        self._estimate = Estimate(folder, capacities)
        self._lock = Lock()
        watch.planned(len(self._left), self._estimate.end(self._left))

    def job(self, job: Job) -> None:
        """Run a job. After an interruption its steps were stopped, and nothing is written."""
        self._watch.started(job.cell)
        result, picture = _outcome(job, self._fleet)
        with self._lock:
            if self.interrupted.is_set():
                return
            self._folder.write(result, picture)
            self._left.remove(result.place)
            self._estimate.learn(result)
            self._watch.ended(result, len(self._left), self._estimate.end(self._left))


def _outcome(job: Job, fleet: Fleet) -> tuple[Result, bytes | None]:
    """The result of a job, and the picture of its worst prompt."""
    started = datetime.now(timezone.utc)
    try:
        runs = fleet.run(job.cell, job.target)
    except EdgekitError as error:
        lost = result_without_host(job.cell, job.identity, started=started, error=error)
        return lost, None
    return result_of(job.cell, job.identity, started=started, runs=runs), picture_of(runs)


def _known_failures(request: MatrixRequest) -> tuple[KnownFailure, ...]:
    named = request.known_failures
    own = request.results / FILE
    if named is None and not own.is_file():
        return ()
    return read_known_failures(named or own)
