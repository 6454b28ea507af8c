"""Weights to ONNX graphs, and the golden vectors while the PyTorch model is in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgekit import catalog, store
from edgekit.pack import tool_versions, write_golden
from edgekit.records import Graph, ModelRow, Target, WeightsSource

_LISTING = "graphs.json"
# Everything whose change can change a graph or a golden tensor.
_CODE = ("models", "graph", "pack", "runtime", "records")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredGraphs:
    """Encoder and decoder in ONNX, and whose they are.

    `folder` also holds `golden/`. It lies in the cache: read it only.
    """

    row: ModelRow
    source: WeightsSource
    folder: Path
    graphs: tuple[Graph, ...]


def lower_graphs(row: ModelRow, source: WeightsSource, target: Target) -> LoweredGraphs:
    """Load, capture, rewrite, lower and lint both halves of a model, or find them in the cache.

    Raises:
        CheckpointMismatch: the weights do not fit.
        GraphRejected: a graph breaks a rule of the target.
    """
    key = store.content_key(
        "graphs",
        store.code_digest(*_CODE),
        row.name,
        *(file.sha256 for file in source.files),
        str(source.seed),
        str(target.opset),
        str(sorted(target.forbidden_ops)),
        str(sorted(tool_versions().items())),
    )
    folder = store.cached_dir(key, lambda folder: _build(folder, row, source, target))
    graphs = store.read_records(folder / _LISTING, Graph)
    placed = tuple(replace(graph, path=folder / graph.path.name) for graph in graphs)
    return LoweredGraphs(row=row, source=source, folder=folder, graphs=placed)


def _build(folder: Path, row: ModelRow, source: WeightsSource, target: Target) -> None:
    from edgekit.graph.capture import capture_decoder, capture_encoder
    from edgekit.graph.onnx_lowering import lower_to_onnx
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    split = load(row, source)
    programs = (capture_encoder(split.encoder), capture_decoder(split.decoder))
    graphs = tuple(lower_to_onnx(program, target, folder=folder) for program in programs)
    store.write_records(folder / _LISTING, graphs)
    encoder, decoder = reference_sessions(split)
    photo = catalog.image_set().photos[0].path
    write_golden(folder, photo, client=row.client, encoder=encoder, decoder=decoder)
