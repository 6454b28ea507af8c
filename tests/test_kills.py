"""`edgekit export --force` killed at random moments leaves the old bundle or the new, whole.

EDGEKIT_KILLS sets the number of kills (3), EDGEKIT_FUZZ_SEED their seed.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.store import read_bundle

KILLS = int(os.environ.get("EDGEKIT_KILLS", "3"))
SEED = int(os.environ.get("EDGEKIT_FUZZ_SEED", "14"))
LEFT = re.compile(r"\.nanosam-x86-fp32\.[0-9a-f]{8}\.edgekit-tmp")
THREE_DAYS_S = 3 * 24 * 3600

pytestmark = pytest.mark.slow


def start(out: Path) -> subprocess.Popen[bytes]:
    command = ["export", "nanosam", "-t", "x86-fp32", "--weights", "seeded", "--no-verify"]
    return subprocess.Popen(
        [sys.executable, "-m", "edgekit", *command, "--force", "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def age(bundle: Path) -> None:
    then = time.time() - THREE_DAYS_S
    for path in (*bundle.rglob("*"), bundle):
        os.utime(path, (then, then))


def moment(chance: random.Random, whole_s: float) -> float:
    """Half of all kills fall into the last third, where files are written and exchanged."""
    return chance.uniform(chance.choice([0, 2 / 3]), 1) * whole_s


def test_kills(nanosam_bundle: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "nanosam-x86-fp32"
    assert start(tmp_path).wait() == 0  # the cache is warm: stages are not killed, only writing
    begin = time.monotonic()
    assert start(tmp_path).wait() == 0
    whole_s, chance, outcomes = time.monotonic() - begin, random.Random(SEED), []
    while sum(killed for killed, _, _ in outcomes) < KILLS:
        age(bundle)
        before = bundle.stat().st_ino
        process = start(tmp_path)
        try:
            process.wait(moment(chance, whole_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        assert read_bundle(bundle).manifest.model == "nanosam"
        left = [path.name for path in tmp_path.iterdir() if path != bundle]
        assert all(map(LEFT.fullmatch, left))
        outcomes.append((killed, bundle.stat().st_ino == before, len(left)))
    assert start(tmp_path).wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == [bundle.name]
    kills = [row for row in outcomes if row[0]]
    print(  # noqa: T201 - shown with -s, for a run by hand
        f"{len(kills)} kills within {whole_s:.1f} s: {sum(old for _, old, _ in kills)} left the "
        f"old bundle, {sum(not old for _, old, _ in kills)} the new; leftovers after "
        f"{sum(n > 0 for _, _, n in kills)}, none after the next export"
    )
