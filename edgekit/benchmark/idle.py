"""Wait until the threads of a call have gone to sleep.

After a call, a runtime's threads stay awake for a while in case another follows (ONNX Runtime 1.31:
50 ms of busy waiting). They would take the cores from whoever has the next turn, so that of two
equal graphs the second is the slower (`tests/benchmarks/bench_bundle.py --awake`).
"""

from __future__ import annotations

import time

_WINDOW_S = 0.02
_BUSY = 0.1
"""Share of one core that counts as awake."""
_PATIENCE_S = 1.0
"""Then the threads are not those of a call: some runtimes may always have one awake."""


def wait_until_idle() -> None:
    """Return when this process's threads use no CPU, or after a second."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        before = time.process_time()
        time.sleep(_WINDOW_S)
        if time.process_time() - before < _BUSY * _WINDOW_S:
            return
