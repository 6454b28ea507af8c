"""A bundle's graphs against the same model exported by hand, and against PyTorch eager.

All contestants take turns in one process, so that a busy machine slows them alike: read the
ratios. "By hand" is `torch.onnx.export` of the reference modules, run in ONNX Runtime.

    python tests/benchmarks/bench_bundle.py nanosam x86-fp32 [--threads 2] [--rounds 9]
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

from edgekit.backends import backend
from edgekit.cli.progress import PlainReport
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import Split, load
from edgekit.models.reference import reference_sessions
from edgekit.pipeline import ExportRequest, export
from edgekit.records import Bundle, Feeds, Role


def feeds_of(role: Role) -> Feeds:
    """Noise of the right shapes; for the decoder, one box."""
    noise = np.random.default_rng(0)
    if role == Role.ENCODER:
        return {"image": noise.standard_normal((1, 3, 1024, 1024), dtype=np.float32)}
    return {
        "image_embeddings": noise.standard_normal((1, 256, 64, 64), dtype=np.float32),
        "point_coords": np.array([[[200, 220], [700, 800]]], np.float32),
        "point_labels": np.array([[2, 3]], np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
    }


def by_hand(split: Split, role: Role, folder: Path, threads: int) -> Callable[[], object]:
    """What a user types today."""
    import onnxruntime as ort
    import torch

    path = folder / f"{role}.onnx"
    example = tuple(torch.from_numpy(feeds_of(role)[name]) for name in split.row.graph.inputs(role))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            split.module(role), example, str(path), dynamo=True, external_data=False, verbose=False
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
    target, feeds = bundle.manifest.target, feeds_of(role)
    shipped = backend(target.runtime).open_artifact(
        bundle.artifact(role), bundle.path, target, threads=threads
    )
    eager = reference_sessions(split)[0 if role == Role.ENCODER else 1]
    return {
        "bundle": lambda: shipped.run(feeds),
        "by hand": by_hand(split, role, folder, threads),
        "eager": lambda: eager.run(feeds),
    }


def main() -> None:
    """Print medians and ratios per role."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("target")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
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
        for role in Role:
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
