"""Times bundles beside each other and PyTorch, so that the ratios hold on a busy machine.

Every contestant runs in a process of its own (`worker`), so that its memory can be measured and its
threads do not slow the others. Contestants take turns, one call each (`rounds`), so that other work
on the machine slows all of them alike. A turn ends when the call's threads sleep (`idle`). The
CPU's peak takes turns with them (`machine_peak`). `picture` draws.
"""

from edgekit.benchmark.contestant import Contestant, bundle_contestant, pytorch_contestant
from edgekit.benchmark.figures import Figures, Timing
from edgekit.benchmark.machine_peak import MachinePeak
from edgekit.benchmark.rounds import Conditions, compare

__all__ = [
    "Conditions",
    "Contestant",
    "Figures",
    "MachinePeak",
    "Timing",
    "bundle_contestant",
    "compare",
    "pytorch_contestant",
]
