"""Which models were verified for which targets: what was run, not what ought to work.

`verified.json` holds the newest outcome of each pair that `tests/benchmarks/bench_families.py` ran,
failures included; it is written by that script only. A pair that is not in it was not run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgekit import catalog
from edgekit.records import How, Precision

_TABLE = Path(__file__).with_name("verified.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome of one export and its comparison with PyTorch.

    `weights` is what `--weights` was: "seeded" numbers show that the artifact equals the model, not
    that the model is any good. IoUs are over all prompts, None where there was nothing to run, and
    `error` then says why; of a failed gate it says by what. `edgekit` is the version that ran.
    """

    model: str
    target: str
    passed: bool
    how: How
    mean_iou: float | None
    min_iou: float | None
    photos: int | None
    prompts: int | None
    weights: str
    edgekit: str
    date: str
    error: str | None

    @property
    def conclusive(self) -> bool:
        """Whether the outcome says something about the pair.

        Random weights that miss a gate below FP32 say nothing: their mask candidates nearly tie,
        and layer upon layer amplifies what rounding leaves. The artifact was made and it ran.
        """
        below = catalog.target(self.target).precision is not Precision.FP32
        random = self.weights == "seeded" and self.mean_iou is not None
        return self.passed or not (random and below)


@cache
def verifications() -> tuple[Verification, ...]:
    """Every pair that was run, in the order of the registry."""
    rows = json.loads(_TABLE.read_text(encoding="utf-8"))
    return tuple(Verification(**row) for row in rows)


def judged_targets(model: str) -> tuple[str, ...]:
    """The targets that a model was run for with an outcome that is conclusive."""
    judged = (ran.target for ran in verifications() if ran.model == model and ran.conclusive)
    return tuple(dict.fromkeys(judged))


def verified_targets(model: str) -> tuple[str, ...]:
    """Those of them that it passed."""
    passed = {ran.target for ran in verifications() if ran.model == model and ran.passed}
    return tuple(target for target in judged_targets(model) if target in passed)


def verified_devices(model: str) -> tuple[str, ...]:
    """The same by precision: "fp32: android, x86", "int8: x86"."""
    devices: dict[str, list[str]] = {precision: [] for precision in Precision}
    for target in verified_targets(model):
        device, _, precision = target.rpartition("-")
        devices[precision].append(device)
    return tuple(
        f"{precision}: {', '.join(names)}" for precision, names in devices.items() if names
    )
