"""Which models were verified for which targets, from runs and not from expectations.

`verified.json` holds the newest outcome of each pair, failures included. It is made of the results
of `edgekit matrix` in `tests/benchmarks/results`, by `tests/models/test_verified.py`. A pair that
is missing was not run.
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

    `weights` is the value of `--weights`; "seeded" weights show that the artifact equals the model,
    not that the model is good. The IoUs are over all prompts, and None if nothing could be run.
    `error` says why nothing was run or by how much the gate was missed. `edgekit` is its version.
    `code` is the digest of the code that the outcome depends on; None if it was not recorded.
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
    code: str | None = None

    @property
    def conclusive(self) -> bool:
        """Whether the outcome says something about the pair.

        If random weights miss a gate below FP32, it says nothing: their mask candidates nearly tie,
        and every layer amplifies the rounding. It only shows that the artifact was made and ran.
        """
        reduced = catalog.target(self.target).precision is not Precision.FP32
        random = self.weights == "seeded" and self.mean_iou is not None
        return self.passed or not (random and reduced)


@cache
def verifications() -> tuple[Verification, ...]:
    """The outcomes of all pairs that were run, in the order of the registry."""
    rows = json.loads(_TABLE.read_text(encoding="utf-8"))
    return tuple(Verification(**row) for row in rows)


def conclusive_targets(model: str) -> tuple[str, ...]:
    """The targets for which the model has a conclusive outcome."""
    targets = (ran.target for ran in verifications() if ran.model == model and ran.conclusive)
    return tuple(dict.fromkeys(targets))


def verified_targets(model: str) -> tuple[str, ...]:
    """The targets whose gate the model passed."""
    passed = {ran.target for ran in verifications() if ran.model == model and ran.passed}
    return tuple(target for target in conclusive_targets(model) if target in passed)


def verified_devices(model: str) -> tuple[str, ...]:
    """`verified_targets` as one line per precision: "fp32: android, x86", "int8: x86"."""
    devices: dict[str, list[str]] = {precision: [] for precision in Precision}
    for target in verified_targets(model):
        device, _, precision = target.rpartition("-")
        devices[precision].append(device)
    return tuple(
        f"{precision}: {', '.join(names)}" for precision, names in devices.items() if names
    )
