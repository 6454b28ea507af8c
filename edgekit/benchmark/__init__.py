"""How fast is a bundle, beside other bundles and PyTorch? Ratios that survive a noisy machine.

Every contestant lives in a process of its own (`worker`): its memory is its own, and its runtime's
threads cannot slow another's. The contestants take turns, one call each (`rounds`), so that a busy
machine slows them alike. `machine_peak` measures what the hardware can do at best, `picture` draws.
"""

from edgekit.benchmark.contestant import Contestant, bundle_contestant, pytorch_contestant
from edgekit.benchmark.figures import Figures, Timing
from edgekit.benchmark.rounds import compare

__all__ = [
    "Contestant",
    "Figures",
    "Timing",
    "bundle_contestant",
    "compare",
    "pytorch_contestant",
]
