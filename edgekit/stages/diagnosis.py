"""Why an INT8 bundle failed its gate: who suffers, where it starts, what it looks like."""

from __future__ import annotations

from pathlib import Path

from edgekit import catalog
from edgekit.errors import BadInput
from edgekit.program.programs import Programs
from edgekit.records import PrecisionPlan, Role
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from edgekit.verification import Verdict, comparison_picture


def explain_failure(
    programs: Programs,
    plan: PrecisionPlan | None,
    *,
    verdict: Verdict,
    verified: catalog.PhotoSet,
    picture: Path,
) -> str:
    """A few sentences, and a picture of the worst prompts.

    Args:
        programs: of the model.
        plan: what its graphs were made by.
        verdict: the one that failed.
        verified: the photos that it is about.
        picture: where the mismatch is drawn.
    """
    worst = min(verdict.results, key=lambda result: result.iou).photo
    photo = next((p for p in verified.photos if p.id == worst), verified.photos[0])
    said = [_worst_kind(verdict), _divergence(programs, plan, photo)]
    try:
        comparison_picture(verdict).save(picture)
        said.append(f"The worst prompts are drawn in {picture}.")
    except (BadInput, OSError) as error:
        said.append(f"No picture: {error}.")
    if plan and "search" not in plan.recipe:
        said.append("Next: repeat with --float-fallback, which moves blocks back to float.")
    return " ".join(filter(None, said))


def _worst_kind(verdict: Verdict) -> str:
    if not verdict.kinds:
        return ""
    worst = min(verdict.kinds, key=lambda kind: kind.mean_iou)
    return f"Prompts that suffer most: {worst.kind}, mean IoU {worst.mean_iou:.4f}."


def _divergence(programs: Programs, plan: PrecisionPlan | None, photo: catalog.Photo) -> str:
    from edgekit.precision.apply.divergence import DIVERGED_DB, first_divergence

    if plan is None:
        return ""
    image = encoder_input(load_photo(photo.path), programs.row.client.preprocessing)
    found = first_divergence(programs.encoder, plan.part(Role.ENCODER), {"image": image})
    if found is None:
        return f"No block's results fall below {DIVERGED_DB:.0f} dB: the errors are spread."
    return (
        f"First to diverge: {found.block or 'the top module'} at {found.node}, "
        f"{found.decibels:.1f} dB; likely cause, {found.cause}."
    )
