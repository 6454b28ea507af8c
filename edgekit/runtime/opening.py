"""A bundle's files as sessions: on their own runtime, or on what stands in for it here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgekit import runtimes
from edgekit.emulation import emulator
from edgekit.records import (
    Artifact,
    Bundle,
    Execution,
    Feeds,
    FloatArray,
    Role,
    Session,
    Target,
)
from edgekit.runtimes.installed import missing_runtime


def execution(target: Target) -> Execution:
    """How a target's files run on this machine.

    Natively where their runtime can run them; else by the stand-in, if there is one and its
    packages are installed.
    """
    own = runtimes.runtime(target.runtime).execution(target)
    stand_in = emulator(target)
    if own.how != "not run" or stand_in is None:
        return own
    found = stand_in.probe()
    if not found.available:
        return Execution(how="not run", reason=f"{own.reason}; to emulate it, {found.reason}")
    reason = f"{own.reason}; {stand_in.DESCRIPTION}"
    return Execution(how="emulated", by=found.version, reason=reason)


def open_artifact(
    artifact: Artifact, folder: Path, target: Target, *, threads: int | None
) -> Session:
    """Open one artifact, as `execution` says.

    Args:
        artifact: with paths relative to `folder`.
        folder: where its files lie.
        target: what it was made for.
        threads: for the runtime; None leaves the number to it.

    Raises:
        BundleCorrupt: a file is missing or cannot be read.
        RuntimeMissing: neither the runtime nor its stand-in can run here.
    """
    runtime, stand_in = runtimes.runtime(target.runtime), emulator(target)
    if stand_in is None or runtime.execution(target).how != "not run":
        return runtime.open_artifact(artifact, folder, target, threads=threads)
    how = execution(target)
    if how.how == "not run":
        raise missing_runtime(target.runtime, how.reason)
    return stand_in.open_artifact(artifact, folder, target, threads=threads)


def open_graphs(bundle: Bundle, *, threads: int | None) -> dict[Role, Session]:
    """Open every artifact of a bundle; arguments and errors as `open_artifact`."""
    target = bundle.manifest.target
    opened = [
        (artifact, open_artifact(artifact, bundle.path, target, threads=threads))
        for artifact in bundle.manifest.artifacts
    ]
    sessions = {artifact.role: session for artifact, session in opened}
    if len(target.prompt_slots) > 1:
        decoders = {a.slots: session for a, session in opened if a.role is Role.DECODER}
        sessions[Role.DECODER] = SlottedDecoder(decoders)
    return sessions


class SlottedDecoder:
    """Decoders with different numbers of prompt slots; each call goes to the one of its shapes."""

    def __init__(self, by_slots: Mapping[int | None, Session]) -> None:
        self._by_slots = by_slots

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run the decoder that has as many slots as `point_labels` [1, slots]."""
        return self._by_slots[feeds["point_labels"].shape[1]].run(feeds)
