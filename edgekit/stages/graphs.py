"""Weights to graphs in the backend's format, and golden vectors from the model in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import backends, catalog, store
from edgekit.pack import tool_versions, write_golden
from edgekit.records import Graph, ModelRow, Precision, PrecisionPlan, Target, WeightsSource
from edgekit.stages.memory import need_of, require_memory
from edgekit.stages.programs import captured

if TYPE_CHECKING:
    from edgekit.graph.capture import Program

_LISTING = "graphs.json"
# Everything whose change can change a graph or a golden tensor.
_CODE = ("models", "graph", "precision", "pack", "runtime", "records")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredGraphs:
    """A model's graphs in the format that the target's backend takes, and whose they are.

    `plan` is what their nodes compute in, None for float32. `folder` also holds `golden/`. It lies
    in the cache: read it only.
    """

    row: ModelRow
    source: WeightsSource
    plan: PrecisionPlan | None
    folder: Path
    graphs: tuple[Graph, ...]


def lower_graphs(
    row: ModelRow, source: WeightsSource, target: Target, plan: PrecisionPlan | None
) -> LoweredGraphs:
    """Load, capture, rewrite, lower and lint a model's graphs, or find them in the cache.

    Raises:
        BadInput: the plan was made for other programs.
        CheckpointMismatch: the weights do not fit.
        GraphRejected: a graph breaks a rule of the target, or both together do not fit its memory.
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
        target.runtime,
        target.runtime_versions,  # decide which operator tables the lint reads
        str(sorted(target.options.items())),  # and these, for which sizes memory is estimated
        repr(plan),
        str(sorted(tool_versions().items())),
    )
    folder = store.cached_dir(key, lambda folder: _build(folder, row, source, target, plan))
    graphs = store.read_records(folder / _LISTING, Graph)
    require_memory(graphs, target)
    kept = plan if backends.applies_plan(target) else None
    placed = tuple(
        replace(
            graph,
            path=folder / graph.path.name,
            weights=graph.weights and folder / graph.weights.name,
            plan=kept.part(graph.role) if kept else None,
            title=row.title,
            licence=source.licence,
        )
        for graph in graphs
    )
    return LoweredGraphs(row=row, source=source, plan=plan, folder=folder, graphs=placed)


def _build(
    folder: Path,
    row: ModelRow,
    source: WeightsSource,
    target: Target,
    plan: PrecisionPlan | None,
) -> None:
    from edgekit.models.reference import reference_sessions
    from edgekit.precision.macs import macs_by_node

    model = captured(row, source, target.prompt_slots)
    programs = list(model.for_slots(target.prompt_slots))
    work = [sum(macs_by_node(program).values()) for program in programs]
    if plan and not backends.applies_plan(target):
        programs = [_with_plan(program, plan, target) for program in programs]
    graphs = [lowered(program, target, folder=folder) for program in programs]
    counted = tuple(
        replace(g, macs=macs, memory=need_of(g, target))
        for g, macs in zip(graphs, work, strict=True)
    )
    store.write_records(folder / _LISTING, counted)
    photo = catalog.image_set().photos[0].path
    write_golden(
        folder,
        photo,
        client=row.client,
        sessions=reference_sessions(model.split),
        slots=target.prompt_slots,
    )


def lowered(program: Program, target: Target, *, folder: Path) -> Graph:
    """One program as a file of the format that the target's backend takes."""
    from edgekit.graph.onnx_lowering import lower_to_onnx
    from edgekit.graph.program_file import save_program

    if backends.takes(target.runtime) == "program":
        return save_program(program, folder=folder)
    return lower_to_onnx(program, target, folder=folder)


def _with_plan(program: Program, plan: PrecisionPlan, target: Target) -> Program:
    """The program with the plan in its types: casts, or integer codes."""
    part = plan.part(program.role)
    if plan.asked is Precision.INT8:
        from edgekit.precision.quantizer import apply_int8

        return apply_int8(program, part, fold=backends.folds_weights(target.runtime))
    from edgekit.precision.casts import apply_casts

    return apply_casts(program, part)
