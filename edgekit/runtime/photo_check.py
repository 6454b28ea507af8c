"""Find the photos that cannot be read before the work on the others starts."""

from __future__ import annotations

from pathlib import Path

from edgekit.catalog import PhotoSet
from edgekit.errors import BadInput
from edgekit.runtime.photo import check_photo

_EXAMPLES = 3


def require_readable(photos: PhotoSet) -> None:
    """Check that every photo of a set can be read.

    Each is decoded, since a header says nothing of a file that was cut off. That takes a few
    milliseconds a photo; segmenting one takes far longer.

    Raises:
        BadInput: some cannot. It names at most three of them, each with its reason.
    """
    failed = [error for error in (_error(photo.path) for photo in photos.photos) if error]
    if not failed:
        return
    count = f"{len(failed)} of {len(photos.photos)} photos"
    lines = [error.what for error in failed[:_EXAMPLES]]
    if len(failed) > _EXAMPLES:
        lines.append(f"and {len(failed) - _EXAMPLES} more")
    raise BadInput(
        f"{photos.name}: {count} cannot be read:\n  " + "\n  ".join(lines),
        expected=failed[0].expected,
        next_step=failed[0].next_step or "replace them, or move them elsewhere",
    )


def _error(photo: Path) -> BadInput | None:
    try:
        check_photo(photo)
    except BadInput as error:
        return error
    return None
