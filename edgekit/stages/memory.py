"""Check that the graphs fit the device's memory, before a builder spends minutes on them."""

from __future__ import annotations

from edgekit.catalog.options import WORKSPACE, option, rising_numbers
from edgekit.errors import GraphRejected
from edgekit.records import Graph, MemoryNeed, OnnxGraph, Target

_MB = 1e6


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


def require_memory(graphs: tuple[Graph, ...], target: Target) -> None:
    """Refuse graphs that cannot fit: all of them loaded, plus the scratch memory of one build.

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
            f"The graphs need about {tensors:.0f} MB at {shown or 'their fixed sizes'}, and the "
            f"builder up to {workspace} MB more. {target.name} has {target.memory_mb} MB.",
            expected=f"at most {target.memory_mb} MB in all",
            next_step=f"lower {' or '.join([*sizes, WORKSPACE])} in targets/{target.name}.toml,"
            " or choose a smaller model (edgekit models)",
        )
