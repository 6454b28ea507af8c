"""Write what a bundle holds beside its artifacts: manifest, golden vectors, plan, README."""

from edgekit.pack.golden import write_golden
from edgekit.pack.manifest import make_manifest, tool_versions
from edgekit.pack.plan_file import PLAN_FILE, mac_shares, read_plan, write_plan
from edgekit.pack.readme import bundle_readme

__all__ = [
    "PLAN_FILE",
    "bundle_readme",
    "mac_shares",
    "make_manifest",
    "read_plan",
    "tool_versions",
    "write_golden",
    "write_plan",
]
