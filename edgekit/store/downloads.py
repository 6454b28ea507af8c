"""Checkpoint downloads: cached, interruptible, and named only after their SHA-256 was checked.

A server can neither send without end nor keep a command waiting: a download ends at a size, after
30 s without a byte, and after a time that follows from the size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from edgekit.errors import WeightsUnavailable
from edgekit.records import CheckpointFile
from edgekit.store.cache import cache_dir
from edgekit.store.digests import sha256_of

Progress = Callable[[int, int | None], None]
"""Called with the bytes done and the total (None if the server does not say)."""

_CHUNK_BYTES = 2**18
_SILENT_S = 30
"""Seconds without a byte after which a download ends."""
_LEAST_SPEED = 50_000  # bytes per second: a file of 100 MB may take half an hour
_START_S = 60
_LARGEST_BYTES = 2**34
"""Where the size of a file is not known: the largest published checkpoint has 2.6 GB."""


def checkpoint_dir() -> Path:
    """The folder of downloaded checkpoints. Users may also put files there by hand."""
    return cache_dir() / "checkpoints"


def download(file: CheckpointFile, *, progress: Progress | None = None) -> Path:
    """The checkpoint in the cache, downloaded if it is not there yet.

    Raises:
        WeightsUnavailable: the download failed or has another SHA-256, or no SHA-256 is known, in
            which case nothing is downloaded. The message names the URL, the SHA-256 and the folder
            to put the file in.
    """
    place = checkpoint_dir() / file.filename
    if place.is_file() and file.sha256 in (None, sha256_of(place)):
        return place
    if file.sha256 is None:
        raise _unavailable(file, "its SHA-256 is not known, so it is not downloaded")
    from urllib3.exceptions import HTTPError

    try:
        _fetch(file, place, progress)
    except (OSError, ValueError, HTTPError) as error:  # requests' errors are OSErrors
        cause = error.strerror if isinstance(error, OSError) and error.filename else str(error)
        reason = " ".join(str(cause).split())[:200]
        raise _unavailable(
            file, f"the download failed with {type(error).__name__}: {reason}"
        ) from error
    return place


def _fetch(file: CheckpointFile, place: Path, progress: Progress | None) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # its messages would break the progress bar
    pooch.retrieve(
        file.url,
        known_hash=f"sha256:{file.sha256}",
        fname=place.name,
        path=place.parent,
        downloader=lambda url, output, _pooch: _stream(
            url, Path(output), progress, limit=_limit(file)
        ),
    )


def _limit(file: CheckpointFile) -> int:
    """The most bytes to take: a tenth more than the table says, which may be rounded."""
    return _LARGEST_BYTES if file.bytes is None else file.bytes * 11 // 10


def _stream(url: str, output: Path, progress: Progress | None, *, limit: int) -> None:
    """Replaces pooch's downloader: it reports bytes, and closes the connection on failure.

    Raises:
        ValueError: the server sends more than `limit` bytes, or slower than `_LEAST_SPEED`.
    """
    import requests

    end = time.monotonic() + _START_S + limit / _LEAST_SPEED

    uncompressed = {
        "Accept-Encoding": "identity"
    }  # otherwise Content-Length may be the compressed size
    with (
        requests.get(url, stream=True, timeout=_SILENT_S, headers=uncompressed) as response,
        output.open("wb") as file,
    ):
        response.raise_for_status()
        total = int(response.headers.get("Content-Length", 0)) or None
        # Not iter_content, which waits for a whole chunk however slowly its bytes come.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            file.write(chunk)
            if file.tell() > limit:
                raise ValueError(f"the server sends more than {limit} bytes")
            if time.monotonic() > end:
                raise ValueError(f"the server sends less than {_LEAST_SPEED // 1000} kB per second")
            if progress:
                progress(file.tell(), total)


def _unavailable(file: CheckpointFile, reason: str) -> WeightsUnavailable:
    # Bundles quote what happened and what was expected, so only the next step names a folder.
    folder = checkpoint_dir()
    place = _from_home(folder)
    wrong = (folder / file.filename).is_file() and file.sha256 is not None
    there = (
        f"; the {file.filename} in edgekit's folder for checkpoints has another SHA-256"
        if wrong
        else ""
    )
    return WeightsUnavailable(
        f"{file.filename} cannot be had: {reason}{there}",
        expected=f"{file.filename} from {file.url}, SHA-256 {file.sha256 or 'unknown'}",
        next_step=f"put the file in {place}, or use --weights seeded for random weights",
    )


def _from_home(path: Path) -> str:
    """The path with ~ for the home folder, whose name is often the user's."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
