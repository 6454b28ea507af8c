"""Every model's export: seconds, peak memory, and its encoder against PyTorch eager, one row each.

Random weights: time and memory do not depend on them. Each export runs in a process of its own with
an empty cache, so its seconds are those of a first export and its peak is its own. Rows are printed
as they are done; a model that fails is a row that says so.

    python tests/benchmarks/bench_families.py [MODEL...] [--targets x86-fp32,x86-ort-fp32]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgekit import catalog, store
from edgekit.bench import bundle_contestant, compare, pytorch_contestant
from edgekit.bench.figures import Task
from edgekit.models import registry
from edgekit.models.checkpoints import locate

TASKS = (Task.ENCODER,)


def exported(model: str, targets: list[str], out: Path) -> tuple[float, int, str]:
    """Seconds and peak bytes of an export without verification, and what went wrong."""
    command = [sys.executable, "-m", "edgekit", "export", model, "--weights", "seeded"]
    command += ["--no-verify", "--force", "--out", str(out)]
    for target in targets:
        command += ["--target", target]
    start = time.monotonic()
    child = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "EDGEKIT_CACHE": str(out / "cache")},
        text=True,
    )
    assert child.stderr is not None
    told = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    failed = told.strip().splitlines()[-1] if child.returncode else ""
    return time.monotonic() - start, usage.ru_maxrss * 1024, failed


def ratios(model: str, targets: list[str], out: Path, options: argparse.Namespace) -> list[str]:
    """Eager's median divided by each bundle's."""
    row = registry.model(model)
    bundles = [store.read_bundle(out / f"{model}-{target}") for target in targets]
    contestants = [
        pytorch_contestant(model, locate(row, ("seeded",)), kind="eager"),
        *(bundle_contestant(bundle) for bundle in bundles),
    ]
    photo = catalog.image_set().photos[0].path
    eager, *others = compare(
        contestants, photo, threads=options.threads, rounds=options.rounds, tasks=TASKS
    )
    reference = eager.timing(Task.ENCODER)
    assert reference is not None, eager.missing
    found = [other.timing(Task.ENCODER) for other in others]
    told = [f"{reference.p50 / timing.p50:.2f}" if timing else "n/a" for timing in found]
    return [f"{reference.p50 * 1e3:.0f} ms", *told]


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=[row.name for row in registry.models()])
    parser.add_argument("--targets", default="x86-fp32,x86-ort-fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    targets = options.targets.split(",")
    print(
        "| model | export | peak memory | encoder, eager |", *(f" {t} |" for t in targets), sep=""
    )
    print("|---|--:|--:|--:|" + "--:|" * len(targets), flush=True)
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak, failed = exported(model, targets, Path(folder))
            cells = [failed] if failed else ratios(model, targets, Path(folder), options)
        print(f"| `{model}` | {seconds:.0f} s | {peak / 1e9:.1f} GB |", " | ".join(cells), "|")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
