"""Explain why an INT8 bundle failed its gate."""

from __future__ import annotations

from pathlib import Path

from edgekit import catalog
from edgekit.errors import BadInput
from edgekit.program.programs import Programs
from edgekit.records import PrecisionPlan, Role
from edgekit.runtime.client_kinds import photo_client
from edgekit.runtime.drawn_prompts import encoder_image
from edgekit.runtime.photo import load_photo
from edgekit.verification import Verdict, comparison_picture


def explain_failure(
    programs: Programs,
    plan: PrecisionPlan | None,
    *,
    verdict: Verdict,
    verified: catalog.PhotoSet,
    picture: Path,
) -> str:
    """Name the worst kind of prompt and the first block that diverges, and draw the mismatch.

    Args:
        programs: those of the model.
        plan: the plan of its graphs.
        verdict: the failed one.
        verified: the photos of the verdict.
        picture: the file for a picture of the worst prompts.
    """
    worst = min(verdict.results, key=lambda result: result.iou).photo
    photo = next((p for p in verified.photos if p.id == worst), verified.photos[0])
    sentences = [_worst_kind(verdict), _divergence(programs, plan, photo)]
    try:
        comparison_picture(verdict).save(picture)
        sentences.append(f"{picture} shows the worst prompts.")
    except (BadInput, OSError) as error:
        sentences.append(f"No picture: {error}.")
    if plan and "search" not in plan.recipe:
        sentences.append("Next: repeat with --float-fallback, which moves blocks back to float.")
    return " ".join(filter(None, sentences))


def _worst_kind(verdict: Verdict) -> str:
    if not verdict.kinds:
        return ""
    worst = min(verdict.kinds, key=lambda kind: kind.mean_iou)
    return f"Worst kind of prompt: {worst.kind}, mean IoU {worst.mean_iou:.4f}."


def _divergence(programs: Programs, plan: PrecisionPlan | None, photo: catalog.Photo) -> str:
    from edgekit.precision.apply.divergence import DIVERGED_DB, first_divergence

    if plan is None:
        return ""
    image = encoder_image(load_photo(photo.path), photo_client(programs.row.client))
    first = first_divergence(programs.encoder, plan.part(Role.ENCODER), {"image": image})
    if first is None:
        return f"No block falls below {DIVERGED_DB:.0f} dB: the error is spread over all of them."
    return (
        f"First block to diverge: {first.block or 'the top module'} at {first.node}, "
        f"{first.decibels:.1f} dB. Likely cause: {first.cause}."
    )
