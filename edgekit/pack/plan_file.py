"""`precision.json`: the precision plan in a bundle, and the share of the work per precision."""

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
    """Write the plan into a folder."""
    path = folder / PLAN_FILE
    store.write_atomic(path, json.dumps(asdict(plan), indent=1, allow_nan=False) + "\n")
    return path


def read_plan(folder: Path) -> PrecisionPlan:
    """Read the plan of a folder.

    Raises:
        BundleCorrupt: it is missing, or is not a plan; every error is named.
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
    """The share of the MACs in each precision that occurs, largest first; they sum to 1.

    Nodes without MACs count only where no node has any.
    """
    sums: Counter[Precision] = Counter()
    total = sum(line.macs for line in lines)
    for line in lines:
        sums[line.precision] += line.macs if total else 1
    return {precision: macs / sum(sums.values()) for precision, macs in sums.most_common() if macs}
