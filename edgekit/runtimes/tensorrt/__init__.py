"""TensorRT: a session runs an engine that was built on this device.

`build_engine` is also copied into bundles, where it builds engines without edgekit.
"""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import RuntimeMissing
from edgekit.records import NATIVE, Artifact, Execution, Probe, Session, Target
from edgekit.runtimes.tensorrt.installation import (
    Installation,
    find_installation,
    installation_for,
)


def probe() -> Probe:
    """TensorRT's version and the GPU, or what is missing."""
    here = find_installation()
    if isinstance(here, Installation):
        return Probe(available=True, version=f"{here.version} on {here.gpu['gpu']}")
    return Probe(available=False, reason=here)


def execution(target: Target) -> Execution:
    """Native if there is a GPU and a version of TensorRT that the target accepts."""
    here = installation_for(target)
    if isinstance(here, Installation):
        return NATIVE
    return Execution(how="not run", reason=f"{here}; engines are built on the device")


def open_artifact(
    artifact: Artifact,
    folder: Path,
    target: Target,
    *,
    threads: int | None,  # noqa: ARG001
) -> Session:
    """Load the artifact's engine. `threads` has no meaning on a GPU.

    Raises:
        RuntimeMissing: TensorRT is missing, or there is no engine for this machine; the message
            says how to build it.
    """
    here = installation_for(target)
    if isinstance(here, Installation):
        return here.open(artifact, folder)
    raise RuntimeMissing(f"TensorRT cannot run here: {here}.", next_step="edgekit doctor")
