"""Graphs to the files of one runtime."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgekit import runtimes, store
from edgekit.catalog.runtimes import runtime_row
from edgekit.lowering import lowering
from edgekit.pack import tool_versions
from edgekit.records import Artifact, Graph, MemoryNeed, OnnxGraph, Target
from edgekit.stages.graphs import LoweredGraphs

_LISTING = "artifacts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFiles:
    """A model's artifacts, paths relative to `folder`. In the cache: read it only."""

    folder: Path
    artifacts: tuple[Artifact, ...]


def make_artifacts(graphs: LoweredGraphs, target: Target) -> RuntimeFiles:
    """Convert the graphs, or find them in the cache.

    Raises:
        RuntimeMissing: a package of the converter is missing, or its version does not suit.
        GraphRejected: the runtime's converter does not take a graph.
    """
    key = store.stage_key(
        "artifacts",
        store.code_digest(__name__, runtime_row(target.runtime).lowers),
        *(f"{g.sha256} {g.plan} {g.title} {g.licence}" for g in graphs.graphs),
        target.precision,
        target.runtime,
        target.runtime_versions,
        str(runtimes.probe(target.runtime).version),
        str(sorted(tool_versions().items())),
        str(sorted(target.options.items())),
    )

    def build(folder: Path) -> None:
        made = lowering(target)
        artifacts = tuple(
            replace(made.lower(graph, target, folder), macs=graph.macs, memory=_memory(graph))
            for graph in graphs.graphs
        )
        store.write_records(folder / _LISTING, artifacts)

    folder = store.cached_dir(key, build)
    return RuntimeFiles(folder=folder, artifacts=store.read_records(folder / _LISTING, Artifact))


def _memory(graph: Graph) -> MemoryNeed | None:
    return graph.memory if isinstance(graph, OnnxGraph) else None
