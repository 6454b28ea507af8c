"""Check graphs against a target, before its builder spends minutes on them.

Two targets may share a graph; each has a compiler and a memory of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgekit import store
from edgekit.catalog.options import WORKSPACE, option, rising_numbers
from edgekit.errors import GraphRejected
from edgekit.records import MemoryNeed, OnnxGraph, Target

_MB = 1e6
_LISTING = "checked.json"


def checked_graphs(graphs: tuple[OnnxGraph, ...], target: Target) -> tuple[OnnxGraph, ...]:
    """The graphs with the memory that they need. Checks that have passed are remembered.

    Raises:
        GraphRejected: the target's compiler does not take an operator or type (all of a graph's
            are listed), or the graphs do not fit its memory.
        BadInput: an option of the target is not of its form.
    """
    key = store.stage_key(
        "checked",
        store.code_digest(__name__, "edgekit.graph.lint", "edgekit.graph.memory"),
        *(graph.sha256 for graph in graphs),
        target.runtime,
        target.runtime_versions,  # select the operator tables of the lint
        str(sorted(target.forbidden_ops.items())),
        str(sorted(target.options.items())),  # set the sizes that memory is estimated for
    )

    def build(folder: Path) -> None:
        checked = tuple(replace(graph, memory=_checked(graph, target)) for graph in graphs)
        store.write_records(folder / _LISTING, checked)

    listed = store.read_records(store.cached_dir(key, build) / _LISTING, OnnxGraph)
    result = tuple(
        replace(graph, memory=each.memory) for graph, each in zip(graphs, listed, strict=True)
    )
    require_memory(result, target)
    return result


def _checked(graph: OnnxGraph, target: Target) -> MemoryNeed | None:
    from edgekit.graph.lint import lint_file, reject_findings

    reject_findings(lint_file(graph.path, target), graph=graph.role)
    return need_of(graph, target)


def need_of(graph: OnnxGraph, target: Target) -> MemoryNeed | None:
    """Estimate the memory of one graph at the largest sizes that the target's options allow.

    Returns None if the target does not limit the sizes.

    Raises:
        BadInput: an option is not of its form.
    """
    dims = {dim for spec in graph.inputs for dim in spec.shape if isinstance(dim, str)}
    if any(option(target, dim) is None for dim in dims):
        return None
    sizes = {dim: rising_numbers(target, dim, 3)[-1] for dim in sorted(dims)}
    from edgekit.graph.memory import memory_need_of_file

    return memory_need_of_file(graph.path, sizes)


def require_memory(graphs: tuple[OnnxGraph, ...], target: Target) -> None:
    """Refuse graphs that cannot fit: all of them loaded, plus the scratch memory of one build.

    Raises:
        GraphRejected: the estimate is above the target's `memory_mb`.
    """
    needs = [graph.memory for graph in graphs if graph.memory]
    workspace = rising_numbers(target, WORKSPACE, 1)[0] if option(target, WORKSPACE) else 0
    tensors = sum(need.weights + need.activations for need in needs) / _MB
    if tensors + workspace > target.memory_mb:
        sizes = {name: size for need in needs for name, size in need.sizes.items()}
        shown = ", ".join(f"{size} {name}" for name, size in sizes.items())
        raise GraphRejected(
            f"The graphs need about {tensors:.0f} MB at {shown or 'their fixed sizes'}, and the "
            f"builder up to {workspace} MB more. {target.name} has {target.memory_mb} MB.",
            expected=f"at most {target.memory_mb} MB in all",
            next_step=f"lower {' or '.join([*sizes, WORKSPACE])} in {target.name}.toml,"
            " or choose a smaller model (edgekit models)",
        )
