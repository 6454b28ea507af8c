"""What this machine has and what it lacks: the facts behind `edgekit doctor` and the preflight.

`machine` reads the hardware, `packages` says which packages each runtime and the export need and
which versions are known to be bad, `diagnosis` puts both together. Every import that is tried runs
in a process of its own: a wheel built for another CPU ends in SIGILL, not in an exception.
"""

from edgekit.doctor.diagnosis import Diagnosis, RuntimeHealth, diagnose
from edgekit.doctor.export_checks import preflight
from edgekit.doctor.machine import Gpu, Machine, read_machine, usable_cores

__all__ = [
    "Diagnosis",
    "Gpu",
    "Machine",
    "RuntimeHealth",
    "diagnose",
    "preflight",
    "read_machine",
    "usable_cores",
]
