"""Lower programs to graphs in the runtime's format, and write golden vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import catalog, store
from edgekit.catalog.runtimes import lowering_applies_plan, runtime_row
from edgekit.pack import tool_versions, write_golden
from edgekit.program.programs import Programs
from edgekit.records import (
    Graph,
    ModelRow,
    OnnxGraph,
    Origin,
    PartPlan,
    Precision,
    PrecisionPlan,
    Role,
    SavedProgram,
    Target,
    WeightsSource,
)
from edgekit.stages.checks import checked_graphs

if TYPE_CHECKING:
    from edgekit.program.capture import Program

_LISTING = "graphs.json"
_ORIGINS = "origins.json"  # of the weights: a repeated export does not load them


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredGraphs:
    """A model's graphs in the format of the target's runtime."""

    row: ModelRow
    source: WeightsSource
    plan: PrecisionPlan | None
    """None for float32."""
    folder: Path
    """Holds the graphs and `golden/`. A folder of the cache: do not write to it."""
    graphs: tuple[Graph, ...]


def lower_graphs(programs: Programs, target: Target, plan: PrecisionPlan | None) -> LoweredGraphs:
    """Rewrite, lower and check a model's graphs, or take them from the cache.

    Targets that need the same bytes share them, such as the float32 targets of one opset.

    Raises:
        BadInput: the plan belongs to other programs.
        CheckpointMismatch: the weights do not fit.
        GraphRejected: a graph breaks a rule of the target, or the graphs do not fit its memory.
    """
    key = store.stage_key(
        "graphs",
        store.code_digest(__name__),
        *programs.identity,
        runtime_row(target.runtime).takes,
        str(target.opset),
        repr(plan),
        # Without a plan no pass looks at them (`graph.passes.table`), and targets share the graphs.
        *((target.runtime, str(target.int8)) if plan else ()),
        str(sorted(tool_versions().items())),
    )
    folder = store.cached_dir(key, lambda folder: _build(folder, programs, target, plan))
    graphs = _read(folder, target)
    row = programs.row
    source = replace(programs.source, origins=store.read_records(folder / _ORIGINS, Origin))
    placed = tuple(
        replace(
            graph,
            plan=_unapplied(plan, graph.role, target) if plan else None,
            title=row.title,
            licence=source.licence,
        )
        for graph in graphs
    )
    return LoweredGraphs(row=row, source=source, plan=plan, folder=folder, graphs=placed)


def _unapplied(plan: PrecisionPlan, role: Role, target: Target) -> PartPlan | None:
    """The part that the types of a graph do not say; none of them says BF16."""
    part = plan.part(role)
    bf16 = any(line.precision is Precision.BF16 for line in part.nodes)
    return part if bf16 or lowering_applies_plan(target) else None


def _read(folder: Path, target: Target) -> tuple[Graph, ...]:
    """The graphs in a folder of the cache, checked against the target if they are ONNX."""
    if runtime_row(target.runtime).takes == "program":
        programs = store.read_records(folder / _LISTING, SavedProgram)
        return tuple(replace(each, path=folder / each.path.name) for each in programs)
    placed = (
        replace(
            each,
            path=folder / each.path.name,
            weights=folder / each.weights.name if each.weights else None,
        )
        for each in store.read_records(folder / _LISTING, OnnxGraph)
    )
    return checked_graphs(tuple(placed), target)


def _build(folder: Path, programs: Programs, target: Target, plan: PrecisionPlan | None) -> None:
    from edgekit.program.work import macs_by_node

    lowered = []
    for program in programs.lowered:
        macs = sum(macs_by_node(program).values())
        typed = plan is not None and not lowering_applies_plan(target)
        graph = lower_program(
            _with_plan(program, plan, target) if plan and typed else program, target, folder=folder
        )
        lowered.append(replace(graph, macs=macs))
    store.write_records(folder / _LISTING, tuple(lowered))
    store.write_records(folder / _ORIGINS, programs.split.source.origins)
    photo = catalog.image_set().photos[0].path
    write_golden(
        folder,
        photo,
        client=programs.row.client,
        sessions=programs.sessions,
        slots=target.prompt_slots,
    )


def lower_program(program: Program, target: Target, *, folder: Path) -> Graph:
    """Write one program in the format of the target's runtime."""
    from edgekit.graph.export import lower_to_onnx
    from edgekit.program.saved import save_program

    if runtime_row(target.runtime).takes == "program":
        return save_program(program, folder=folder)
    return lower_to_onnx(program, target, folder=folder)


def _with_plan(program: Program, plan: PrecisionPlan, target: Target) -> Program:
    """The program under the plan, with casts or integer codes."""
    part = plan.part(program.role)
    if plan.asked is Precision.INT8:
        from edgekit.precision.apply.quantizer import apply_int8

        return apply_int8(program, part, fold=runtime_row(target.runtime).folds_weights)
    from edgekit.precision.apply.casts import apply_casts

    return apply_casts(program, part)
