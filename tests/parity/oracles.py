"""Oracles: what upstream's code computed from seeded weights, as NAME.json and NAME.npz.

They are in the folder that `EDGEKIT_ORACLES` names (see the README beside them).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

SHARED = Path(__file__).resolve().parents[3] / "shared" / "oracles"
FOLDER = Path(os.environ.get("EDGEKIT_ORACLES", SHARED / "public"))


def read_oracle(name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """The facts and the arrays of an oracle."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return json.loads((FOLDER / f"{name}.json").read_text()), dict(arrays)


def tolerance_of(facts: dict) -> float:
    """The largest difference that an oracle allows, as a share of upstream's maximum."""
    return float(facts["tolerance"]["suggested_relative_to_max"])


def sampled(array: np.ndarray, tag: str, count: int = 4096) -> np.ndarray:
    """The `count` numbers that an oracle stores of a large array; all of a smaller one."""
    size = array.size
    if size <= count:
        return array.reshape(-1)
    start = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8], "little") % size
    return array.reshape(-1)[(start + np.arange(count, dtype=np.int64) * 2654435761) % size]


def require_close(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    """Fail if a difference exceeds this share of upstream's maximum."""
    gap = np.abs(ours.astype(np.float64) - theirs).max() / np.abs(theirs).max()
    assert gap <= tolerance, f"{gap:.2e} of the maximum; allowed {tolerance:.0e}"
