"""A bundle's files as sessions, one per role."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.records import Bundle, Feeds, FloatArray, Role, Session


def open_graphs(bundle: Bundle, *, threads: int | None) -> dict[Role, Session]:
    """Open every artifact of a bundle on its runtime.

    Args:
        bundle: as read.
        threads: for the runtime; None leaves the number to it.

    Raises:
        BundleCorrupt: a file of the bundle is missing or changed.
        RuntimeMissing: the bundle's runtime is not installed.
    """
    from edgekit.backends import backend

    target = bundle.manifest.target
    runtime = backend(target.runtime)
    opened = [
        (artifact, runtime.open_artifact(artifact, bundle.path, target, threads=threads))
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
