"""ONNX graphs to the files of one runtime."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgekit import backends, store
from edgekit.errors import NotYet
from edgekit.pack import tool_versions
from edgekit.records import Artifact, Target
from edgekit.stages.graphs import LoweredGraphs
from edgekit.stages.programs import release

_LISTING = "artifacts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFiles:
    """A model's artifacts, paths relative to `folder`. In the cache: read it only."""

    folder: Path
    artifacts: tuple[Artifact, ...]


def ready_backend(target: Target) -> backends.Backend:
    """The target's backend.

    Raises:
        NotYet: the runtime or the precision is planned, not there.
        RuntimeMissing: the runtime is not installed.
    """
    backend = backends.backend(target.runtime)
    if reason := backends.not_yet(target):
        raise NotYet(
            f"Target {target.name} cannot be exported to: {reason}.",
            expected="a target that `edgekit targets` calls ready",
            next_step="edgekit targets",
        )
    return backend


def make_artifacts(
    graphs: LoweredGraphs, target: Target, backend: backends.Backend
) -> RuntimeFiles:
    """Convert the graphs, or find them in the cache."""
    key = store.content_key(
        "artifacts",
        store.code_digest("backends", "records"),
        *(f"{g.sha256} {g.plan} {g.title} {g.licence}" for g in graphs.graphs),
        target.precision,
        target.runtime,
        target.runtime_versions,
        str(backend.probe().version),
        str(sorted(tool_versions().items())),
        str(sorted(target.options.items())),
    )

    def build(folder: Path) -> None:
        release(graphs.row)
        artifacts = tuple(
            replace(backend.lower(graph, target, folder), macs=graph.macs, memory=graph.memory)
            for graph in graphs.graphs
        )
        store.write_records(folder / _LISTING, artifacts)

    folder = store.cached_dir(key, build)
    return RuntimeFiles(folder=folder, artifacts=store.read_records(folder / _LISTING, Artifact))
