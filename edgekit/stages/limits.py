"""Refuse a model for a target that its row does not allow."""

from __future__ import annotations

from edgekit import catalog
from edgekit.errors import NotYet
from edgekit.records import ModelRow, Target, TargetLimit


def require_allowed(row: ModelRow, target: Target) -> None:
    """Check the row's limit, before any work.

    Raises:
        NotYet: the target's runtime or precision is not among those of the limit.
    """
    if row.limit is None or _allows(row.limit, target):
        return
    allowed = [each.name for each in catalog.targets() if _allows(row.limit, each)]
    raise NotYet(
        f"{row.name} is not exported for {target.name}: {row.limit.reason}.",
        expected=f"--target {' or '.join(allowed)}",
        next_step=f"edgekit export {row.name} --target {allowed[0]}",
    )


def _allows(limit: TargetLimit, target: Target) -> bool:
    return target.runtime in limit.runtimes and target.precision in limit.precisions
