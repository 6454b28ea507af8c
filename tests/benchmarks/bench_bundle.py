"""A bundle's graphs against the same model exported by hand, and against PyTorch eager.

All contestants take turns in one process, so that a busy machine slows them alike: read the
ratios. "By hand" is `torch.onnx.export` of the reference modules, run in ONNX Runtime.

    python tests/benchmarks/bench_bundle.py nanosam x86-fp32 [--threads 2] [--rounds 9]
        [--role encoder]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit.cli.progress import PlainReport
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import Split, load
from edgekit.models.reference import reference_sessions
from edgekit.pipeline import ExportRequest, export
from edgekit.records import Artifact, Bundle, Feeds, Label, Role
from edgekit.runtime.opening import open_artifact


def feeds_of(artifact: Artifact) -> Feeds:
    """Noise of the right shapes; for the decoder, one box."""
    noise = np.random.default_rng(0)
    feeds = {
        # Dynamic are the prompts, axis 0, and the points, axis 1: one and two.
        spec.name: noise.standard_normal(
            [size if isinstance(size, int) else 1 + axis for axis, size in enumerate(spec.shape)],
            dtype=np.float32,
        )
        for spec in artifact.inputs
    }
    if artifact.role == Role.DECODER:
        feeds["point_coords"][0, :2] = [[200, 220], [700, 800]]
        feeds["point_labels"][:] = Label.EMPTY
        feeds["point_labels"][0, :2] = [Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT]
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


def contestants(
    split: Split, bundle: Bundle, role: Role, folder: Path, threads: int
) -> dict[str, Callable[[], object]]:
    """Name to a call that runs once."""
    target, artifact = bundle.manifest.target, bundle.artifact(role)
    feeds = feeds_of(artifact)
    plain = reference_feeds(split, feeds, role)
    shipped = open_artifact(artifact, bundle.path, target, threads=threads)
    eager = reference_sessions(split)[0 if role == Role.ENCODER else 1]
    return {
        "bundle": lambda: shipped.run(feeds),
        "by hand": by_hand(split, role, plain, folder, threads),
        "eager": lambda: eager.run(plain),
    }


def main() -> None:
    """Print medians and ratios per role."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("target")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--role", type=Role, choices=list(Role), help="default: both")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    row = registry.model(options.model)
    split = load(row, locate(row, ("seeded",)))
    with tempfile.TemporaryDirectory() as scratch:
        request = ExportRequest(
            model=row.name,
            target=options.target,
            weights=("seeded",),
            out=Path(scratch),
            verify=False,
        )
        bundle = export(request, report=PlainReport()).bundle
        for role in [options.role] if options.role else list(Role):
            runners = contestants(split, bundle, role, Path(scratch), options.threads)
            seconds: dict[str, list[float]] = {name: [] for name in runners}
            for turn in range(options.rounds + 2):
                for name, run in runners.items():
                    start = time.perf_counter()
                    run()
                    if turn >= 2:
                        seconds[name].append(time.perf_counter() - start)
            middle = {name: statistics.median(times) for name, times in seconds.items()}
            figures = ", ".join(f"{name} {value * 1e3:.0f} ms" for name, value in middle.items())
            print(
                f"{row.name} {options.target} {role}: {figures}; bundle / by hand "
                f"{middle['bundle'] / middle['by hand']:.2f}, eager / bundle "
                f"{middle['eager'] / middle['bundle']:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
