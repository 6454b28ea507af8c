"""The exported decoder: what it costs by points, prompts at once and kind of product.

    python tests/benchmarks/bench_decoder.py points [MODEL] [--target x86-ort-fp32]
    python tests/benchmarks/bench_decoder.py chunks BUNDLE [--sizes 8 4 16 32]
    python tests/benchmarks/bench_decoder.py batches BUNDLE
    python tests/benchmarks/bench_decoder.py work [MODEL]

`points` compares it with the decoder as it is defined, which forms an image per prompt, for prompts
of several numbers of points. `chunks` decodes fifty boxes so many at once; with one size, the peak
memory that is printed is that size's. `batches` compares the decoders of a bundle without dynamic
shapes. `work` counts the multiply-accumulates of boxes. Contestants take turns: read the ratios.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from torch import fx

from edgekit import catalog
from edgekit.benchmark.idle import wait_until_idle
from edgekit.benchmark.worker import fixed_boxes
from edgekit.lowering import lowering
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.precision.decide.int8 import held_tensors
from edgekit.program.capture import Program, capture_decoder
from edgekit.program.operators import PRODUCTS, maker
from edgekit.program.programs import Programs
from edgekit.program.work import macs_by_node
from edgekit.records import Artifact, Feeds, Label, Role, Session, Target
from edgekit.runtime import Predictor, Prompt, decoding
from edgekit.runtime.opening import open_artifact
from edgekit.stages.graphs import lower_program
from edgekit.store import read_bundle

PHOTO_SIZE = (768, 1024)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("points", "chunks", "batches", "work"))
    parser.add_argument("subject", nargs="?", default="nanosam", help="a model, or a bundle")
    parser.add_argument("--target", default="x86-ort-fp32")
    parser.add_argument("--points", type=int, nargs="*", default=[1, 5, 11, 16, 32, 64])
    parser.add_argument("--sizes", type=int, nargs="*", default=[8, 4, 16, 32])
    parser.add_argument("--prompts", type=int, nargs="*", default=[1, 8, 50])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    {"points": points, "chunks": chunks, "batches": batches, "work": work}[options.what](options)


def points(options: argparse.Namespace) -> None:
    """Both forms for each number of points."""
    row, target = registry.model(options.subject), catalog.target(options.target)
    programs = Programs(row, locate(row, ("seeded",)), target.prompt_shapes)
    plain, exported = programs.split.decoder, programs.decoder
    assert plain is not None
    assert exported is not None
    with tempfile.TemporaryDirectory() as scratch:
        forms = {"defined": capture_decoder(plain, contract=row.graph), "exported": exported}
        opened = {
            name: opened_program(program, target, Path(scratch, name), threads=options.threads)
            for name, program in forms.items()
        }
        for count in options.points:
            runners = {
                name: runner(session, feeds_of(artifact, prompts=1, points=count))
                for name, (artifact, session) in opened.items()
            }
            show(f"{target.runtime}, {count} points", medians(runners, options.rounds))


def opened_program(
    program: Program, target: Target, folder: Path, *, threads: int
) -> tuple[Artifact, Session]:
    """A program as the target's runtime runs it."""
    files = folder / "files"
    files.mkdir(parents=True)
    graph = lower_program(program, target, folder=folder)
    artifact = lowering(target).lower(graph, target, files)
    return artifact, open_artifact(artifact, files, target, threads=threads)


def chunks(options: argparse.Namespace) -> None:
    """Fifty boxes, so many at once."""
    predictor = Predictor(options.subject, threads=options.threads)
    noise = np.random.default_rng(0)
    predictor.set_image(noise.integers(0, 256, (*PHOTO_SIZE, 3), dtype=np.uint8))
    boxes = [Prompt.checked(box=box) for box in fixed_boxes(*PHOTO_SIZE)]

    def decoded(size: int) -> None:
        decoding.CHUNK = size
        predictor.predict_many(boxes)

    runners = {f"{size} at once": lambda size=size: decoded(size) for size in options.sizes}
    show(f"{len(boxes)} boxes", medians(runners, options.rounds))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def batches(options: argparse.Namespace) -> None:
    """Each decoder of a bundle."""
    bundle = read_bundle(Path(options.subject))
    target = bundle.manifest.target
    runners = {}
    for artifact in bundle.manifest.artifacts:
        if artifact.role is Role.DECODER and artifact.prompt_shape:
            prompts, slots = artifact.prompt_shape
            session = open_artifact(artifact, bundle.path, target, threads=options.threads)
            feeds = feeds_of(artifact, prompts=prompts, points=slots)
            runners[f"{prompts} of {slots} points"] = runner(session, feeds)
    show(target.runtime, medians(runners, options.rounds))


def feeds_of(artifact: Artifact, *, prompts: int, points: int) -> Feeds:
    """Noise for the photo, and foreground points without a mask."""
    noise = np.random.default_rng(0)
    asked = {"point_coords": (prompts, points, 2), "point_labels": (prompts, points)}
    feeds = {
        spec.name: noise.standard_normal(
            asked.get(spec.name) or [int(size) for size in spec.shape], dtype=np.float32
        )
        for spec in artifact.inputs
    }
    feeds["point_coords"] = 1024 * noise.random((prompts, points, 2), dtype=np.float32)
    feeds["point_labels"][:] = Label.FOREGROUND
    feeds["has_mask_input"][:] = 0
    return feeds


def runner(session: Session, feeds: Feeds) -> Callable[[], object]:
    """A call of the session."""
    return lambda: session.run(feeds)


def medians(runners: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of each, in turns; the first round does not count."""
    taken: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(rounds + 1):
        for name, run in runners.items():
            wait_until_idle()
            start = time.perf_counter()
            run()
            if turn:
                taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(times) for name, times in taken.items()}


def show(title: str, taken: Mapping[str, float]) -> None:
    """A line of times and of ratios to the first."""
    first = next(iter(taken.values()))
    figures = (f"{name} {each:.1f} ms ({each / first:.2f}x)" for name, each in taken.items())
    print(f"{title}: {', '.join(figures)}", flush=True)


def work(options: argparse.Namespace) -> None:
    """Millions of MACs by what a product multiplies, for boxes."""
    row = registry.model(options.subject)
    programs = Programs(row, locate(row, ("seeded",)), ())
    found = [work_of_boxes(programs, count) for count in options.prompts]
    for kind in found[0]:
        figures = (f"{each[kind] / 1e6:8.0f}" for each in found)
        print(f"{kind:32}{''.join(figures)}")


def work_of_boxes(programs: Programs, prompts: int) -> dict[str, int]:
    """MACs of one call, by kind of product."""
    forms = programs.forms
    assert forms.decoder is not None
    decoder = capture_decoder(
        forms.decoder,
        features=programs.encoder.outputs,
        slots=2,
        prompts=prompts,
        contract=forms.contract,
    )
    held, macs = held_tensors(decoder), macs_by_node(decoder)
    kinds = dict.fromkeys(("of two activations", "with constants of positions", "with weights"), 0)
    for node in decoder.exported.graph.nodes:
        if node.name in macs:
            kinds[kind_of(node, held)] += macs[node.name]
    return kinds


def kind_of(node: fx.Node, held: Mapping[str, object]) -> str:
    """What the node multiplies."""
    names = [maker(source).name for source in node.all_input_nodes]
    if not any(name in held for name in names):
        return "of two activations"
    positions = node.target in PRODUCTS and any(is_table(name) for name in names)
    return "with constants of positions" if positions else "with weights"


def is_table(name: str) -> bool:
    """Whether a tensor holds a value for each position, as the token side's buffers do."""
    return name.endswith(("_keys", "_queries")) and name.startswith(("b_", "c_"))


if __name__ == "__main__":
    main()
