"""A session that answers repeated questions from memory: a search asks the reference the same."""

from __future__ import annotations

import hashlib

from edgekit.records import Feeds, FloatArray, Session


class Remembered:
    """Keeps every answer by a digest of its feeds; for a few photos' worth of them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._answers: dict[bytes, dict[str, FloatArray]] = {}

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run, or repeat what came out the last time."""
        digest = hashlib.sha256()
        for name, array in sorted(feeds.items()):
            digest.update(f"{name} {array.shape}".encode() + array.tobytes())
        key = digest.digest()
        if key not in self._answers:
            self._answers[key] = self._session.run(feeds)
        return self._answers[key]
