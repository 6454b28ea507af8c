"""Open a bundle that masks are asked of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cli.console import say

if TYPE_CHECKING:
    from edgekit.records import Bundle


def read_with_warning(path: Path) -> Bundle:
    """The bundle; what its weights warn of is printed.

    Raises:
        BundleCorrupt: the bundle was changed.
    """
    from edgekit.store import read_bundle

    bundle = read_bundle(path)
    if warning := bundle.manifest.weights.warning:
        say(f"Warning: {warning}", err=True)
    return bundle
