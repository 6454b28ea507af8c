"""What this machine has and lacks, for `edgekit doctor` and for the checks before an export.

`machine` reads the hardware. `packages` compares installed versions with those that edgekit needs.
`native_modules` finds wheels that were built for another CPU. `diagnosis` combines all of them.
"""

from edgekit.doctor.diagnosis import Diagnosis, RuntimeHealth, TargetHealth, diagnose
from edgekit.doctor.export_checks import preflight
from edgekit.doctor.machine import Gpu, Machine, read_machine, usable_cores

__all__ = [
    "Diagnosis",
    "Gpu",
    "Machine",
    "RuntimeHealth",
    "TargetHealth",
    "diagnose",
    "preflight",
    "read_machine",
    "usable_cores",
]
