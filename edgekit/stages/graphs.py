"""Weights to graphs in the backend's format, and golden vectors from the model in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgekit import backends, catalog, store
from edgekit.pack import tool_versions, write_golden
from edgekit.records import Graph, ModelRow, Target, WeightsSource

_LISTING = "graphs.json"
# Everything whose change can change a graph or a golden tensor.
_CODE = ("models", "graph", "pack", "runtime", "records")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredGraphs:
    """Encoder and decoder in the format that the target's backend takes, and whose they are.

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
        backends.takes(target.runtime),
        str(target.prompt_slots),
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
    from edgekit.graph.program_file import save_program
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions
    from edgekit.precision.macs import macs_by_node

    split = load(row, source)
    encoder_program = capture_encoder(
        split.encoder, frame=row.client.preprocessing.frame, contract=row.graph
    )
    decoder_program = capture_decoder(
        split.decoder,
        features=encoder_program.outputs,
        slots=target.prompt_slots,
        contract=row.graph,
    )
    programs = (encoder_program, decoder_program)
    if backends.takes(target.runtime) == "program":
        graphs = tuple(save_program(program, folder=folder) for program in programs)
    else:
        graphs = tuple(lower_to_onnx(program, target, folder=folder) for program in programs)
    counted = tuple(
        replace(graph, macs=sum(macs_by_node(program).values()))
        for graph, program in zip(graphs, programs, strict=True)
    )
    store.write_records(folder / _LISTING, counted)
    encoder, decoder = reference_sessions(split)
    photo = catalog.image_set().photos[0].path
    write_golden(
        folder,
        photo,
        client=row.client,
        encoder=encoder,
        decoder=decoder,
        slots=target.prompt_slots,
    )
