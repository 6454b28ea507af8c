"""What a decoder computes for its prompts in ONNX Runtime, node by node.

    python tests/benchmarks/decoder_nodes.py [MODEL] [--prompts 8] [--threads 2] [--rounds 20]

prints the time by operator, by part of the model, and by what the nodes depend on, and writes it to
`decoder_nodes.json` for the table in edgekit/models/sam/README.md. Work that depends on the photo
alone belongs into the encoder, and work on the mask prompt is wasted on prompts without one. A
node's time is its median over the rounds, as ONNX Runtime's profiler measures it after all graph
optimizations. A fused node belongs to the part that its result belongs to.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from edgekit import catalog
from edgekit.benchmark.worker import fixed_boxes
from edgekit.cli.progress import PlainReport
from edgekit.doctor import read_machine
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.pipeline import ExportRequest, export
from edgekit.program.blocks import block_names
from edgekit.program.programs import Programs
from edgekit.records import Bundle, Feeds, Role
from edgekit.runtime import Prompt
from edgekit.runtime.decoder_feeds import decoder_feeds

TARGET = "x86-ort-fp32"
RESULTS = Path(__file__).with_name("decoder_nodes.json")
PHOTO_SIZE = (768, 1024)
WARM_UP = 3
MASK_PROMPT = frozenset({"mask_input", "has_mask_input"})
POINTS = frozenset({"point_coords", "point_labels"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node that runs. `depends` says on which of the graph's inputs."""

    operator: str
    part: str
    depends: str
    milliseconds: float


def main() -> None:
    """Print the tables and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", nargs="?", default="nanosam")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    row = registry.model(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        request = ExportRequest(
            model=row.name, target=TARGET, weights=("seeded",), out=Path(scratch), verify=False
        )
        bundle = export(request, report=PlainReport()).bundle
        nodes = profiled(
            bundle.path / bundle.artifact(Role.DECODER).entry,
            feeds_of(bundle, options.prompts),
            part_of=parts_of(row.name),
            threads=options.threads,
            rounds=options.rounds,
        )
    result = {
        "model": row.name,
        "runtime": f"ONNX Runtime {ort.__version__}",
        "cpu": read_machine().cpu,
        "threads": options.threads,
        "prompts": options.prompts,
        **{column: grouped(nodes, column) for column in ("operator", "part", "depends")},
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    show(result)


def feeds_of(bundle: Bundle, prompts: int) -> Feeds:
    """Boxes on a photo of noise."""
    boxes = [Prompt.checked(box=box) for box in fixed_boxes(*PHOTO_SIZE)[:prompts]]
    asked = decoder_feeds(boxes, PHOTO_SIZE, bundle.manifest.client)
    noise = np.random.default_rng(0)
    photo = {
        spec.name: noise.standard_normal([int(size) for size in spec.shape], dtype=np.float32)
        for spec in bundle.artifact(Role.DECODER).inputs
        if spec.name not in asked
    }
    return {**photo, **asked}


def parts_of(model: str) -> Mapping[str, str]:
    """The part of the model that computes a tensor, by its name: two levels of a path."""
    row = registry.model(model)
    slots = catalog.target(TARGET).prompt_slots
    decoder = Programs(row, locate(row, ("seeded",)), slots).decoder
    assert decoder is not None, f"{model} has no decoder"
    return {
        tensor: ".".join(block.split(".")[:2]) for tensor, block in block_names(decoder).items()
    }


def profiled(
    path: Path, feeds: Feeds, *, part_of: Mapping[str, str], threads: int, rounds: int
) -> list[Node]:
    """Run a decoder with ONNX Runtime's profiler; the nodes are those of its optimized graph."""
    with tempfile.TemporaryDirectory() as name:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only
        options.optimized_model_filepath = f"{name}/optimized.onnx"
        options.enable_profiling = True
        options.profile_file_prefix = f"{name}/profile"
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(WARM_UP + rounds):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
        graph = onnx.load(options.optimized_model_filepath).graph
    times = milliseconds_of(events)
    depends, parts = dependencies(graph), parts_by_node(graph, part_of)
    return [
        Node(
            operator=node.op_type,
            part=parts[node.name],
            depends=depends[node.name],
            milliseconds=times[node.name],
        )
        for node in graph.node
    ]


def milliseconds_of(events: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The median time of each node, by its name, without the first runs."""
    runs: dict[str, list[float]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            runs.setdefault(name, []).append(event["dur"] / 1e3)
    return {name: statistics.median(times[WARM_UP:]) for name, times in runs.items()}


def dependencies(graph: onnx.GraphProto) -> dict[str, str]:
    """What each node's result depends on, by the node's name."""
    stored = {tensor.name for tensor in graph.initializer}
    sources = {each.name: frozenset({each.name}) for each in graph.input if each.name not in stored}
    found = {}
    for node in graph.node:
        read = frozenset().union(*(sources.get(name, frozenset()) for name in node.input))
        sources |= dict.fromkeys(node.output, read)
        found[node.name] = _named(read)
    return found


def _named(inputs: frozenset[str]) -> str:
    if inputs & POINTS:
        return "points"
    return "mask prompt" if inputs & MASK_PROMPT else "photo alone"


def parts_by_node(graph: onnx.GraphProto, part_of: Mapping[str, str]) -> dict[str, str]:
    """Each node's part, by its name.

    Tensors that the exporter and ONNX Runtime add belong to the next node with a part, which
    usually reads them; those behind the last such node to that.
    """
    found: dict[str, str] = {}
    for nodes in (reversed(graph.node), graph.node):
        latest = ""
        for node in nodes:
            own = next((part_of[name] for name in node.output if name in part_of), None)
            latest = own or found.get(node.name) or latest
            found[node.name] = latest
    return found


def grouped(nodes: Sequence[Node], column: str) -> list[dict[str, Any]]:
    """Nodes and milliseconds of each operator, part or dependency, the longest first."""
    groups: dict[str, list[float]] = {}
    for node in nodes:
        groups.setdefault(getattr(node, column), []).append(node.milliseconds)
    lines = [
        {"name": name, "nodes": len(times), "ms": round(sum(times), 3)}
        for name, times in groups.items()
    ]
    return sorted(lines, key=itemgetter("ms"), reverse=True)


def show(result: Mapping[str, Any]) -> None:
    """Print the three tables."""
    total = sum(line["ms"] for line in result["operator"])
    print(
        f"{result['model']}'s decoder, {result['prompts']} boxes in one call: {total:.1f} ms;"
        f" {result['runtime']}, {result['threads']} threads, {result['cpu']}"
    )
    for column in ("depends", "part", "operator"):
        print(f"\n{column:40} nodes       ms  share")
        for line in result[column]:
            share = line["ms"] / total
            print(f"{line['name']:40} {line['nodes']:5} {line['ms']:8.2f} {share:6.1%}")


if __name__ == "__main__":
    main()
