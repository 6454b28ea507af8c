"""What a bundle holds beside its artifacts: manifest, golden vectors, a README for its reader."""

from edgekit.pack.golden import write_golden
from edgekit.pack.manifest import make_manifest, tool_versions
from edgekit.pack.readme import bundle_readme

__all__ = ["bundle_readme", "make_manifest", "tool_versions", "write_golden"]
