"""Cells without models: steps with made-up documents, and a fleet that answers with them."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from PIL import Image

from edgekit.benchmark.figures import Figures, Task, timing_of
from edgekit.errors import EdgekitError
from edgekit.matrix import Cell, Result
from edgekit.matrix.cells import Host, Step, StepRun
from edgekit.matrix.steps import commands_of
from edgekit.records import Gate, Target
from edgekit.stages.measurement import Bench
from edgekit.verification import Summary
from edgekit.verification.evaluation import KINDS, SURVEY_KINDS, Means, to_json

PHOTO = "street <b>.jpg"
"""The photo of every prompt: its name is no markup."""

Steps = Callable[[Cell], tuple[StepRun, ...]]


class FakeFleet:
    """A fleet whose cells end as `outcomes` says, by "MODEL/TARGET"; the others pass."""

    def __init__(
        self,
        outcomes: Mapping[str, Steps | Exception] | None = None,
        *,
        machine: str = "a machine",
        capacity: int = 1,
    ) -> None:
        self._capacity = capacity
        self.ran: list[str] = []
        self.stopped = False
        self.label = "local"
        self._outcomes = outcomes or {}
        self._machine = machine

    def host(self, target: Target) -> Host:
        return Host(label=self.label, machine=self._machine, versions={target.runtime: "1"})

    def capacity(self, _: Host) -> int:
        return self._capacity

    def run(self, cell: Cell, _: Target) -> tuple[StepRun, ...]:
        pair = f"{cell.model}/{cell.target}"
        self.ran.append(pair)
        outcome = self._outcomes.get(pair, passed())
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome(cell)

    def stop(self) -> None:
        self.stopped = True


class FakeWatch:
    """Records what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def planned(self, left: int, until: datetime | None) -> None:
        self.told.append(("planned", left, until is not None))

    def started(self, cell: Cell) -> None:
        self.told.append(("started", cell.name))

    def ended(self, result: Result, left: int, until: datetime | None) -> None:
        self.told.append(("ended", result.cell.name, left, until is not None))


def passed(
    *, iou: float = 0.9991, how: str = "native", by: str | None = None, seconds: float = 0.1
) -> Steps:
    """Steps of a cell that passes; its encoder takes `seconds`, PyTorch's ten times as long."""
    return _steps(_verdict(iou, passed=True, how=how, by=by), verify_code=0, seconds=seconds)


def missed(*, iou: float = 0.5) -> Steps:
    """Steps of a cell that fails its gate."""
    failures = [f"minimum IoU {iou:.5f} is below 0.99"]
    return _steps(_verdict(iou, passed=False, failures=failures), verify_code=1)


def not_run(reason: str) -> Steps:
    """Steps of a cell whose bundle cannot be run here."""
    verdict = _verdict(None, passed=False, how="not run", reason=reason)
    return lambda cell: _steps(verdict, verify_code=3)(cell)[:2]


def export_error(kind: str, message: str, *, code: int = 3) -> Steps:
    """Steps of a cell whose export ends with one of edgekit's errors."""
    document = [{"target": "t", "bundle": None, "error": message, "error_kind": kind}]
    return lambda cell: (step_run(cell, "export", code=code, document=document),)


def export_ends(**step: Any) -> Steps:
    """Steps of a cell whose export ends in another way, without a document."""
    return lambda cell: (step_run(cell, "export", **step),)


def step_run(
    cell: Cell, name: Any, *, code: int | None = 0, document: object = None, **step: Any
) -> StepRun:
    """One step that ended."""
    facts = {"seconds": 2.0, "peak_bytes": 3 * 10**9, **step}
    command = commands_of(cell)[name]
    return StepRun(
        step=Step(name=name, command=command, exit_code=code, **facts),
        document="" if document is None else json.dumps(document),
    )


def bench(
    name: str,
    seconds: float,
    *,
    execution: str = "native",
    spread: float = 0.01,
    rounds: int = 7,
) -> Bench:
    """Figures of a bundle and of PyTorch; `spread` is how much slower the median call is."""

    def figures(named: str, runtime: str, fastest: float) -> Figures:
        calls = [fastest, *[fastest * (1 + spread)] * (rounds - 1)]
        timings = tuple(timing_of(task, calls) for task in Task)
        return Figures(
            name=named, runtime=runtime, execution=execution, bytes=10**6, timings=timings
        )

    return Bench(
        figures=(
            figures("PyTorch eager", "torch 2.13.0", 10 * seconds),
            figures(name, "openvino 2026.4", seconds),
        ),
        cpu="a CPU",
        threads=2,
        rounds=rounds,
    )


def _steps(verdict: dict[str, object], *, verify_code: int, seconds: float = 0.1) -> Steps:
    def steps(cell: Cell) -> tuple[StepRun, ...]:
        made = [{"target": cell.target, "bundle": "b", "bytes": 12_300_000, "verdict": None}]
        documents = {
            "export": (made, 0),
            "verify": (verdict, verify_code),
            "bench": (asdict(bench(f"{cell.model}-{cell.target}", seconds)), 0),
            "evaluate": (evaluation(), 0),
        }
        return tuple(
            step_run(cell, name, document=documents[name][0], code=documents[name][1])
            for name in commands_of(cell)
        )

    return steps


def _verdict(iou: float | None, **facts: Any) -> dict[str, object]:
    overall = None if iou is None else asdict(summary("all", iou))
    kinds = [] if iou is None else [asdict(summary("point", iou)), asdict(summary("box", iou))]
    return {
        "how": "native",
        "photos": 1,
        "gate": asdict(Gate(mean_iou=0.999, min_iou=0.99)),
        "failures": [],
        "overall": overall,
        "kinds": kinds,
        "results": [] if iou is None else [_prompt("point", iou), _prompt("box", 1.0)],
        "worst": [],
        "closeup": None if iou is None else b64encode(jpeg()).decode(),
        **facts,
    }


def _prompt(kind: str, iou: float) -> dict[str, object]:
    trial = {"kind": kind, "points": []}
    return {"photo": PHOTO, "trial": trial, "iou": iou, "finite": True, "logit_error": 0.25}


def evaluation() -> dict[str, object]:
    """What `edgekit evaluate --survey --json -` prints."""
    kinds = [*KINDS, *SURVEY_KINDS]
    iou = {kind: 0.5 + place / 100 for place, kind in enumerate(kinds)}
    rows = (Means(size="all", instances=3, iou=iou), Means(size="large", instances=3, iou=iou))
    return to_json(rows, ran="native")


def jpeg(width: int = 60, height: int = 15) -> bytes:
    """A picture."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), "orange").save(written, "JPEG")
    return written.getvalue()


def summary(kind: str, iou: float) -> Summary:
    """Figures of a kind of prompt, all with this IoU."""
    return Summary(
        kind=kind,
        prompts=9,
        mean_iou=iou,
        p5_iou=iou,
        min_iou=iou,
        min_logit_cosine=None,
        max_logit_error=0.25,
        flip_share=None,
        reference_truth=None,
        candidate_truth=None,
    )


class Lost(EdgekitError):
    """A machine that does not answer."""
