"""A bundle's precision plan, `precision.json`, and the share of work per precision."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from edgekit import store
from edgekit.errors import BundleCorrupt
from edgekit.records import NodePlan, Precision, PrecisionPlan

PLAN_FILE = "precision.json"


def write_plan(folder: Path, plan: PrecisionPlan) -> Path:
    """Write the plan into a folder and return its path."""
    path = folder / PLAN_FILE
    store.write_atomic(path, json.dumps(asdict(plan), indent=1, allow_nan=False) + "\n")
    return path


def read_plan(folder: Path) -> PrecisionPlan:
    """Read the plan in a folder.

    Raises:
        BundleCorrupt: the file is missing or is not a plan; all errors are listed.
    """
    path = folder / PLAN_FILE
    try:
        return store.record_from_json(PrecisionPlan, path.read_bytes())
    except (store.Malformed, OSError) as error:
        raise BundleCorrupt(
            f"{path} is not a precision plan: {error}",
            expected="the file that `edgekit export` wrote",
            next_step="export the bundle again",
        ) from error


def mac_shares(lines: tuple[NodePlan, ...]) -> dict[Precision, float]:
    """Each precision's share of the multiply-accumulates, largest first; the shares sum to 1.

    If no node has any, nodes are counted instead.
    """
    sums: Counter[Precision] = Counter()
    total = sum(line.macs for line in lines)
    for line in lines:
        sums[line.precision] += line.macs if total else 1
    return {precision: macs / sum(sums.values()) for precision, macs in sums.most_common() if macs}
