"""A bundle's graphs against the same model exported by hand, and against PyTorch eager.

All contestants take turns in one process, so that a busy machine slows them alike: read the
ratios. "By hand" is `torch.onnx.export` of the reference modules, run in ONNX Runtime. `--beside`
adds the same model's bundle for another target, such as the float one of an INT8 target: graphs
that are equal must take equally long, unless (`--awake`) a turn begins while the threads of the
last one are still awake. Of ONNX files, the nodes are listed that compute from weights
alone and that ONNX Runtime computes at every run: casts and dequantized weights that it did not
fold when it loaded the file.

    python tests/benchmarks/bench_bundle.py nanosam x86-ort-int8 [--beside x86-ort-fp32]
        [--threads 2] [--rounds 9] [--role decoder] [--prompts 50] [--whole] [--awake]

`--whole` times a photo's work for a target with dynamic shapes: the encoder, then all `--prompts`.
By hand, a prompt takes a call, because upstream's exported decoder takes one prompt.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.benchmark.idle import wait_until_idle
from edgekit.cli.progress import PlainReport
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import Split, load
from edgekit.models.reference import reference_sessions
from edgekit.pipeline import ExportRequest, export
from edgekit.records import Artifact, Bundle, Feeds, Label, Role
from edgekit.runtime.decoding import CHUNK
from edgekit.runtime.opening import open_artifact


def feeds_of(artifact: Artifact, prompts: int) -> Feeds:
    """Noise of the right shapes; for a dynamic decoder so many boxes, for another its batch."""
    noise = np.random.default_rng(0)
    dynamic = (prompts, 2)  # axis 0 are the prompts, axis 1 the points of each
    feeds = {
        spec.name: noise.standard_normal(
            [
                size if isinstance(size, int) else dynamic[axis]
                for axis, size in enumerate(spec.shape)
            ],
            dtype=np.float32,
        )
        for spec in artifact.inputs
    }
    if artifact.role == Role.DECODER:
        feeds["point_coords"][:, :2] = [[200, 220], [700, 800]]
        feeds["point_labels"][:] = Label.EMPTY
        feeds["point_labels"][:, :2] = [Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT]
    if "mask_input" in feeds:
        feeds["has_mask_input"][:] = 0
    return feeds


def reference_feeds(split: Split, feeds: Feeds, role: Role) -> Feeds:
    """The same prompts for the reference, whose decoder takes the encoder's own features."""
    if role == Role.ENCODER:
        return feeds
    frame = split.row.client.preprocessing.frame
    image = np.random.default_rng(0).standard_normal((1, 3, frame, frame), np.float32)
    features = reference_sessions(split)[0].run({"image": image})
    return {**features, **{name: feeds[name] for name in split.row.graph.prompts}}


def by_hand(
    split: Split, role: Role, feeds: Feeds, folder: Path, threads: int
) -> Callable[[], object]:
    """What a user types today."""
    import onnxruntime as ort
    import torch

    path = folder / f"{role}.onnx"
    example = tuple(torch.from_numpy(feeds[name]) for name in split.row.graph.inputs(role))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            split.modules[role], example, str(path), dynamo=True, external_data=False, verbose=False
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    values = dict(
        zip((i.name for i in session.get_inputs()), map(np.asarray, example), strict=True)
    )
    return lambda: session.run(None, values)


def repeated_work(path: Path) -> list[str]:
    """Nodes of ONNX Runtime's optimized graph that compute from weights alone, at every run."""
    import onnx
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as scratch:
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors only
        options.optimized_model_filepath = f"{scratch}/optimized.onnx"
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    fixed = {"", *(tensor.name for tensor in graph.initializer)}
    found = []
    for node in graph.node:
        if fixed.issuperset(node.input):
            fixed.update(node.output)
            found.append(f"{node.op_type} of {node.input[0]}")
    return found


def contestants(
    split: Split, bundles: Sequence[Bundle], role: Role, folder: Path, *, threads: int, prompts: int
) -> dict[str, Callable[[], object]]:
    """Name to a call that runs once; the first bundle is the one in question."""
    plain = reference_feeds(split, feeds_of(bundles[0].artifact(role), prompts), role)
    eager = reference_sessions(split)[0 if role == Role.ENCODER else 1]
    return {
        **{
            bundle.manifest.target.name: shipped(bundle, role, threads=threads, prompts=prompts)
            for bundle in bundles
        },
        "by hand": by_hand(split, role, plain, folder, threads),
        "eager": lambda: eager.run(plain),
    }


def whole(
    split: Split, bundles: Sequence[Bundle], folder: Path, *, threads: int, prompts: int
) -> dict[str, Callable[[], object]]:
    """Name to a call that runs the encoder once and decodes all prompts."""
    encoders = contestants(split, bundles, Role.ENCODER, folder, threads=threads, prompts=1)
    decoder, eager = bundles[0].artifact(Role.DECODER), reference_sessions(split)[1]
    one, together = (
        reference_feeds(split, feeds_of(decoder, count), Role.DECODER) for count in (1, prompts)
    )
    decoders = {
        **{
            bundle.manifest.target.name: in_chunks(bundle, threads=threads, prompts=prompts)
            for bundle in bundles
        },
        "by hand": in_turn([by_hand(split, Role.DECODER, one, folder, threads)] * prompts),
        "eager": lambda: eager.run(together),
    }
    return {name: in_turn([encoders[name], decoders[name]]) for name in encoders}


def in_chunks(bundle: Bundle, *, threads: int, prompts: int) -> Callable[[], object]:
    """A decoder of dynamic shapes for all prompts, so many a call as `Predictor` gives it."""
    sizes = [min(CHUNK, prompts - done) for done in range(0, prompts, CHUNK)]
    runs = {
        size: shipped(bundle, Role.DECODER, threads=threads, prompts=size) for size in set(sizes)
    }
    return in_turn([runs[size] for size in sizes])


def in_turn(calls: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """One call that makes all of them."""
    return lambda: [call() for call in calls]


def shipped(bundle: Bundle, role: Role, *, threads: int, prompts: int) -> Callable[[], object]:
    """A bundle's own file."""
    artifact = bundle.artifact(role)
    session = open_artifact(artifact, bundle.path, bundle.manifest.target, threads=threads)
    feeds = feeds_of(artifact, prompts)
    return lambda: session.run(feeds)


def medians(
    runners: Mapping[str, Callable[[], object]], rounds: int, *, awake: bool = False
) -> dict[str, float]:
    """Seconds of each, in turns; the first two rounds do not count.

    Unless `awake`, a turn begins when the threads of the last one sleep.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(rounds + 2):
        for name, run in runners.items():
            start = time.perf_counter()
            run()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - start)
            if not awake:
                wait_until_idle()
    return {name: statistics.median(times) for name, times in seconds.items()}


def exported(model: str, target: str, out: Path) -> Bundle:
    """A bundle with seeded weights."""
    request = ExportRequest(model=model, target=target, weights=("seeded",), out=out, verify=False)
    return export(request, report=PlainReport()).bundle


def print_times(bundle: Bundle, what: str, taken: Mapping[str, float]) -> None:
    """A line of times and one of ratios."""
    manifest = bundle.manifest
    own = taken[manifest.target.name]
    figures = ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in taken.items())
    print(f"{manifest.model} {manifest.target.name} {what}: {figures}")
    ratios = (f"{own / seconds:.2f} of {name}" for name, seconds in taken.items())
    print("  " + ", ".join(list(ratios)[1:]), flush=True)


def print_repeated_work(bundle: Bundle, role: Role) -> None:
    """What ONNX Runtime computes from weights alone at every run."""
    artifact = bundle.artifact(role)
    if artifact.format == "onnx":
        again = repeated_work(bundle.path / artifact.entry)
        print(f"  from weights alone, at every run: {', '.join(again) or 'nothing'}", flush=True)


def main() -> None:
    """Print medians and ratios per role."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("target")
    parser.add_argument("--beside", action="append", default=[], help="another target; repeatable")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--prompts", type=int, default=1, help="boxes of a decoder's call")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--role", type=Role, choices=list(Role), help="default: both, one by one")
    part.add_argument("--whole", action="store_true", help="the encoder and all prompts")
    parser.add_argument("--awake", action="store_true", help="do not wait for threads to sleep")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    row = registry.model(options.model)
    split = load(row, locate(row, ("seeded",)))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        targets = (options.target, *options.beside)
        bundles = [exported(row.name, target, folder) for target in targets]
        size = {"threads": options.threads, "prompts": options.prompts}
        timing = {"rounds": options.rounds, "awake": options.awake}
        if options.whole:
            if fixed := [b for b in bundles if b.artifact(Role.DECODER).prompt_shape]:
                parser.error(f"--whole: {fixed[0].manifest.target.name} has fixed shapes")
            runners = whole(split, bundles, folder, **size)
            what = f"encoder and {options.prompts} prompts"
            print_times(bundles[0], what, medians(runners, **timing))
            return
        for role in [options.role] if options.role else list(Role):
            runners = contestants(split, bundles, role, folder, **size)
            print_times(bundles[0], role, medians(runners, **timing))
            print_repeated_work(bundles[0], role)


if __name__ == "__main__":
    main()
