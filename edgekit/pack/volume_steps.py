"""The rules of a client of volumes in words: the steps that a port must follow."""

from __future__ import annotations

from edgekit.pack.client_steps import choice_words
from edgekit.records import Label, VolumeContract


def volume_steps(client: VolumeContract) -> list[str]:
    """Numbered steps in the order in which a client runs them."""
    rule, side = client.preprocessing, client.side
    frame, tissue = rule.frame, f"{rule.tissue_above:g}"
    steps = [
        f"Take a volume of {frame} voxels along each axis. Turn it so that its axes lead to the "
        f"patient's right, front and head ({rule.axes}).",
        f"Subtract the mean of the voxels above {tissue} from all voxels, and divide all by the "
        "standard deviation of those voxels (the divisor of the variance is their number less "
        f"one). Lay out as [1, 1, {frame}, {frame}, {frame}].",
        "Run the encoder once per volume.",
        "Each click is a call of the decoder with the encoder's outputs: its voxel index along "
        f"each axis with label {Label.FOREGROUND} (foreground) or {Label.BACKGROUND} "
        f"(background), then one point with label {Label.PADDING}. `mask_input` holds the logits "
        "of the click before, or zeros for the first; `has_mask_input` is 1. Earlier clicks are "
        "not repeated.",
        f"For one mask take {choice_words(client.single)}; for several, after the last click, "
        f"{choice_words(client.multimask)}.",
        f"Enlarge the {side} x {side} x {side} logits trilinearly to the volume (half-pixel "
        "centres, not antialiased); keep logits > 0.",
    ]
    return [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
