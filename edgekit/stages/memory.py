"""Whether what was lowered fits the device, told before a builder spends minutes on it."""

from __future__ import annotations

from edgekit.catalog.options import WORKSPACE, option, rising_numbers
from edgekit.errors import GraphRejected
from edgekit.records import Graph, MemoryNeed, OnnxGraph, Target

_MB = 1e6


def need_of(graph: OnnxGraph, target: Target) -> MemoryNeed | None:
    """The estimate of one graph at the largest sizes that the target's options allow.

    None where the target leaves the sizes open.

    Raises:
        BadInput: an option is not of its form.
    """
    dims = {dim for spec in graph.inputs for dim in spec.shape if isinstance(dim, str)}
    if any(option(target, dim) is None for dim in dims):
        return None
    sizes = {dim: rising_numbers(target, dim, 3)[-1] for dim in sorted(dims)}
    from edgekit.graph.memory import memory_need_of_file

    return memory_need_of_file(graph.path, sizes)


def require_memory(graphs: tuple[Graph, ...], target: Target) -> None:
    """Refuse what cannot fit: all parts loaded, and the scratch memory of one being built.

    Raises:
        GraphRejected: the estimate is above the target's `memory_mb`.
    """
    needs = [graph.memory for graph in graphs if isinstance(graph, OnnxGraph) and graph.memory]
    workspace = rising_numbers(target, WORKSPACE, 1)[0] if option(target, WORKSPACE) else 0
    tensors = sum(need.weights + need.activations for need in needs) / _MB
    if tensors + workspace > target.memory_mb:
        sizes = {name: size for need in needs for name, size in need.sizes.items()}
        shown = ", ".join(f"{size} {name}" for name, size in sizes.items())
        raise GraphRejected(
            f"Its graphs take about {tensors:.0f} MB at {shown or 'their fixed sizes'}, "
            f"and the builder up to {workspace} MB more; {target.name} has {target.memory_mb} MB.",
            expected=f"at most {target.memory_mb} MB together",
            next_step=f"lower {' or '.join([*sizes, WORKSPACE])} in targets/{target.name}.toml,"
            " or take a smaller model (edgekit models)",
        )
