"""Every model on every target: does it export and verify, in what time and memory, how fast is it.

    bench_families.py verify [MODEL...] [--targets T,T]   export, then compare masks on photos
    bench_families.py speed [MODEL...] [--targets T,T]    encoders against PyTorch eager, in turns
    bench_families.py publish                             write edgekit/models/verified.json

Each result is appended to `families.jsonl` beside this file as it comes. A pair that has one is
left out the next time (`--again` measures it anew, and the newest counts), as is a target whose
runtime is not installed. Weights are seeded unless said otherwise: time, memory and equality with
PyTorch do not depend on training. An export runs in a process of its own with an empty cache, so
that its seconds are those of a first export (`cpu_s` are those of all its threads, whatever else
the machine does); its peak is the most memory that it and its children held at once.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import edgekit
from edgekit import catalog, store
from edgekit.benchmark import Conditions, bundle_contestant, compare, pytorch_contestant
from edgekit.benchmark.figures import Figures, Task, Timing
from edgekit.lowering import obstacle
from edgekit.models import registry
from edgekit.models.checkpoints import locate

RESULTS = Path(__file__).with_name("families.jsonl")
FP32_TARGETS = "x86-ort-fp32,x86-fp32,android-fp32,iphone-fp32"
SPEED_TARGETS = "x86-ort-fp32,x86-fp32"
_POLL_S = 0.1

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One edgekit command: seconds, bytes at most, and what went wrong (None if nothing).

    `cpu_seconds` are those of all its threads, which other work on the machine hardly changes.
    """

    seconds: float
    cpu_seconds: float
    peak: int
    error: str | None


def main() -> None:
    """One of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, targets in (("verify", FP32_TARGETS), ("speed", SPEED_TARGETS)):
        command = commands.add_parser(name)
        command.add_argument("models", nargs="*", default=[r.name for r in registry.models()])
        command.add_argument("--targets", default=targets)
        command.add_argument("--weights", default="seeded")
        command.add_argument("--photos", choices=("one", "default"), default="one")
        command.add_argument("--results", type=Path, default=RESULTS)
        command.add_argument("--again", action="store_true")
        command.add_argument(
            "--bundles", type=Path, help="folder to keep bundles in; `speed` takes what is there"
        )
        command.add_argument("--export-only", action="store_true", help="leave the masks out")
        command.add_argument("--limit", type=int, default=600, help="seconds of one command")
        command.add_argument("--threads", type=int, default=2, help="of `speed`")
        command.add_argument("--rounds", type=int, default=15, help="of `speed`, at most")
    commands.add_parser("publish")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # takes the child along
    if options.command == "publish":
        publish()
        return
    for row in globals()[f"{options.command}_rows"](options):
        with options.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def results(path: Path) -> list[Row]:
    """All that was measured: of each model and target the newest row of each kind."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return list({(r["kind"], r["model"], r["target"], r["weights"]): r for r in rows}.values())


def verify_rows(options: argparse.Namespace) -> Iterator[Row]:
    """A row per pair that has none yet."""
    kind = "export" if options.export_only else "verify"
    for model in options.models:
        for target in _missing(kind, model, options):
            with tempfile.TemporaryDirectory() as name:
                yield _verified(_row(kind, model, target, options.weights), Path(name), options)


def _verified(row: Row, folder: Path, options: argparse.Namespace) -> Row:
    model, target = row["model"], row["target"]
    bundle = (options.bundles or folder) / f"{model}-{target}"
    exported = _export(model, target, folder, options)
    row |= {"export_s": round(exported.seconds, 1), "cpu_s": round(exported.cpu_seconds, 1)}
    row["peak_gb"] = round(exported.peak / 1e9, 2)
    if options.export_only:
        return {**row, "error": exported.error}
    if exported.error:
        return {**row, "passed": False, "how": "not run", "error": f"export: {exported.error}"}
    verdict = folder / "verdict.json"
    command = ["verify", str(bundle), "--json", str(verdict)]
    of_photos = registry.model(model).graph.axes == 2  # volumes are made of numbers
    if options.photos == "one" and of_photos:
        command += ["--photos", str(catalog.held_out_set().photos[0].path)]
    verified = _run(command, folder, options.limit)
    row["verify_s"] = round(verified.seconds, 1)
    if not verdict.exists():
        return {**row, "passed": False, "how": "not run", "error": f"verify: {verified.error}"}
    told = json.loads(verdict.read_text())
    row |= {key: told[key] for key in ("passed", "how", "photos")}
    if overall := told["overall"]:
        row |= {key: round(overall[key], 5) for key in ("mean_iou", "min_iou")}
        row["prompts"] = overall["prompts"]
    return {**row, "error": "; ".join(told["failures"]) or None}


def _export(model: str, target: str, folder: Path, options: argparse.Namespace) -> Ran:
    command = ["export", model, "--target", target, "--weights", options.weights]
    command += ["--no-verify", "--force", "--out", str(options.bundles or folder)]
    return _run(command, folder, options.limit)


def speed_rows(options: argparse.Namespace) -> Iterator[Row]:
    """A row per pair: eager's time divided by the bundle's, all of a model in one run."""
    for model in options.models:
        targets = _missing("speed", model, options)
        if not targets:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = options.bundles or Path(name)
            there = [target for target in targets if (folder / f"{model}-{target}").exists()]
            made = [t for t in targets if t not in there and not _failed(model, t, name, options)]
            ready = [target for target in targets if target in {*there, *made}]
            eager, *figures = _compared(model, ready, folder, options)
        reference = eager.timing(Task.ENCODER)
        assert reference is not None, eager.missing
        for target, figure in zip(ready, figures, strict=True):
            timing = figure.timing(Task.ENCODER)
            row = _row("speed", model, target, options.weights)
            row |= {"threads": options.threads, "eager_ms": _milliseconds(reference)}
            row["encoder_ms"] = timing and _milliseconds(timing)
            row["ratio"] = timing and round(reference.fastest / timing.fastest, 2)
            yield {**row, "error": figure.missing}


def _milliseconds(timing: Timing) -> float:
    """Of the fastest call: on a shared machine medians tell what else ran."""
    return round(timing.fastest * 1e3, 1)


def _failed(model: str, target: str, folder: str, options: argparse.Namespace) -> str | None:
    return _export(model, target, Path(folder), options).error


def _compared(
    model: str, targets: Sequence[str], folder: Path, options: argparse.Namespace
) -> tuple[Figures, ...]:
    bundles = [store.read_bundle(folder / f"{model}-{target}") for target in targets]
    weights = locate(registry.model(model), (options.weights,))
    return compare(
        [pytorch_contestant(model, weights, kind="eager"), *map(bundle_contestant, bundles)],
        Conditions(
            photo=catalog.image_set().photos[0].path,
            threads=options.threads,
            rounds=options.rounds,
            tasks=(Task.ENCODER,),
        ),
    )


def _missing(kind: str, model: str, options: argparse.Namespace) -> list[str]:
    done = {(r["kind"], r["model"], r["target"], r["weights"]) for r in results(options.results)}
    return [
        target
        for target in options.targets.split(",")
        if obstacle(catalog.target(target)) is None
        if options.again or (kind, model, target, options.weights) not in done
    ]


def _row(kind: str, model: str, target: str, weights: str) -> Row:
    made = {"edgekit": edgekit.__version__, "date": time.strftime("%Y-%m-%d", time.gmtime())}
    return {"kind": kind, "model": model, "target": target, "weights": weights, **made}


def _run(command: Sequence[str], folder: Path, limit: int) -> Ran:
    """An edgekit command with its cache in `folder`, stopped after `limit` seconds."""
    log = folder / "log.txt"
    start, cpu, peak, late = time.monotonic(), _children_cpu(), 0, False
    with log.open("w") as told:
        child = subprocess.Popen(
            [sys.executable, "-m", "edgekit", *command],
            stdout=subprocess.DEVNULL,
            stderr=told,
            env={**os.environ, "EDGEKIT_CACHE": str(folder / "cache")},
            start_new_session=True,
        )
    try:
        while child.poll() is None and not late:
            peak = max(peak, _bytes_held(child.pid))
            late = time.monotonic() - start > limit
            time.sleep(_POLL_S)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    seconds = time.monotonic() - start
    error = f"stopped after {limit} s" if late else _last_error(log.read_text())
    return Ran(
        seconds=seconds,
        cpu_seconds=_children_cpu() - cpu,
        peak=peak,
        error=error if child.returncode else None,
    )


def _children_cpu() -> float:
    """Seconds that children used until now, of those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bytes_held(pid: int) -> int:
    """By a process and its children, now; 0 once it is gone."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        return sum(process.memory_info().rss for process in family)
    except psutil.NoSuchProcess:
        return 0


def _last_error(told: str) -> str:
    """What a command said last: its framed error, or the last line of a traceback."""
    text = told[told.rfind("error: ") :] if "\nerror: " in f"\n{told}" else told.strip()
    lines = text.splitlines() if text.startswith("error: ") else text.splitlines()[-1:]
    return " ".join(line.strip() for line in lines)[:400]


def publish() -> None:
    """What the package tells of verified pairs: of each the newest row, whichever its outcome."""
    keys = ("model", "target", "passed", "how", "mean_iou", "min_iou", "photos", "prompts")
    keys += ("weights", "edgekit", "date", "error")
    told = [{k: r.get(k) for k in keys} for r in results(RESULTS) if r["kind"] == "verify"]
    order = {row.name: place for place, row in enumerate(registry.models())}
    told.sort(key=lambda row: (order[row["model"]], row["target"], row["weights"]))
    lines = ",\n".join(json.dumps(row) for row in told)
    Path(edgekit.__file__).with_name("models").joinpath("verified.json").write_text(
        f"[\n{lines}\n]\n"
    )


if __name__ == "__main__":
    main()
