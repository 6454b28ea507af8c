"""A precision plan as tables: a line per block, with the totals below."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.records import Bundle, NodePlan, PartPlan, Precision, PrecisionPlan

REASONS = 2
"""Different reasons that a block's line shows."""


def show_precision(bundle: Bundle, json_file: str | None) -> None:
    """Print the precision plan of a bundle, or say why it has none; write it as JSON if asked."""
    from edgekit.cli.console import STDOUT, console, say, write_json
    from edgekit.pack import read_plan

    target = bundle.manifest.target
    if bundle.manifest.plan is None:
        if json_file:
            write_json(None, json_file)
        if json_file == STDOUT:
            return
        say(f"{target.name}: {_without_plan(target.precision)}")
        return
    plan = read_plan(bundle.path)
    if json_file:
        write_json(asdict(plan), json_file)
    if json_file == STDOUT:
        return
    printer = console()
    for part in plan.parts:
        printer.print(_part_table(part))
        printer.print(f"{part.role}: {_shares(part.nodes)}\n")
    printer.print(_origin(plan))


def _without_plan(precision: Precision) -> str:
    if precision == "fp32":
        return "every node computes in FP32, as in PyTorch; there is no plan."
    return f"the runtime computes in {precision} by its own rules; there is no plan."


def _part_table(part: PartPlan) -> object:
    from edgekit.cli.console import table

    figures = ("nodes", "of MACs")
    shown = table("block", *figures, "precision", "exceptions", title=f"{part.role}", right=figures)
    total = sum(line.macs for line in part.nodes) or 1
    for block, lines in _by_block(part).items():
        share = sum(line.macs for line in lines) / total
        shown.add_row(
            block or "-", str(len(lines)), f"{share:.1%}", _precisions(lines), _exceptions(lines)
        )
    return shown


def _by_block(part: PartPlan) -> dict[str, list[NodePlan]]:
    blocks: dict[str, list[NodePlan]] = {}
    for line in part.nodes:
        blocks.setdefault(line.block, []).append(line)
    return blocks


def _precisions(lines: Sequence[NodePlan]) -> str:
    """ "fp16", or "fp16 12, fp32 3" of nodes."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.precision] = counts.get(line.precision, 0) + 1
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{precision} {count}" for precision, count in counts.items())


def _exceptions(nodes_of_block: Sequence[NodePlan]) -> str:
    reasons: dict[str, list[str]] = {}
    for node in nodes_of_block:
        if node.reason:
            reasons.setdefault(node.reason, []).append(node.node)
    lines = [f"{', '.join(nodes)}: {reason}" for reason, nodes in list(reasons.items())[:REASONS]]
    rest = len(reasons) - REASONS
    return "\n".join([*lines, *([f"and {rest} more reasons"] if rest > 0 else [])])


def _shares(lines: tuple[NodePlan, ...]) -> str:
    from edgekit.pack import mac_shares

    shares = ", ".join(f"{share:.2%} {name}" for name, share in mac_shares(lines).items())
    return f"{len(lines)} nodes, {sum(line.macs for line in lines) / 1e9:.2f} GMAC: {shares}"


def _origin(plan: PrecisionPlan) -> str:
    origin = f"asked: {plan.asked}; decided by: {plan.recipe}"
    if plan.calibration is None:
        return origin
    calibration = plan.calibration
    photos = f"{origin}; ranges of {len(calibration.photos)} photos ({calibration.name})"
    return f"{photos} and {calibration.prompts} prompts" if calibration.prompts else photos
