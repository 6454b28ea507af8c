"""The rules in words: a client that follows them needs nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.models import registry
from edgekit.models.families.fastsam import CLIENT as FASTSAM
from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.pack.client_steps import client_steps
from edgekit.records import ClientContract, MaskChoice, StableMask


def words(client: ClientContract) -> str:
    return "\n".join(client_steps(client))


@pytest.mark.parametrize("row", registry.models(), ids=lambda row: row.name)
def test_every_model_is_described(row) -> None:
    text = words(row.client)
    assert [line[0] for line in text.splitlines()] == list("1234567")
    assert "None" not in text
    assert f"[1, 3, {row.client.preprocessing.frame}," in text
    if isinstance(row.client, ClientContract):
        assert f"{row.client.masks.side} x {row.client.masks.side} logits" in text
    else:
        assert f"score > {row.client.objects.score}" in text


def test_a_detector() -> None:
    text = words(FASTSAM)
    for said in (
        "OpenCV's INTER_LINEAR on 8 bits",
        "the other rounded, halves to even",
        "the photo in the middle",
        "of 114 before this step",
        "IoU > 0.9 with a kept one's; keep 300 at most",
        "Without a prompt the answer is all masks",
        "Points and a box in one prompt are not supported.",
    ):
        assert said in text
    assert "decoder" not in text


def test_sams_own() -> None:
    text = words(SAM_CLIENT)
    for said in (
        "longest side is 1024, the other rounded by int(x + 0.5)",
        "zeros at the right and the bottom",
        "Without a box, append one point with label -1",
        "take mask 0; for several masks 1, 2 and 3.",
        "bilinear to 1024 x 1024, crop to the resized photo",
        "keep logits > 0.",
    ):
        assert said in text


def test_decoders_with_different_numbers_of_slots() -> None:
    text = "\n".join(client_steps(SAM_CLIENT, (5, 16)))
    assert "Run the decoder with the fewest slots that hold the prompt's points (5 or 16)" in text
    assert "fewest" not in "\n".join(client_steps(SAM_CLIENT, (8,)))


def test_a_squashing_family() -> None:
    pre = replace(SAM_CLIENT.preprocessing, fit="squash", resample="float_antialiased", frame=512)
    single = MaskChoice(
        masks=(1, 2, 3),
        keep="best",
        unless_stable=StableMask(index=0, offset=0.05, threshold=0.98),
    )
    masks = replace(SAM_CLIENT.masks, single=single, upscale="squashed", clamp=32.0, side=128)
    prompts = replace(SAM_CLIENT.prompts, padding_point="always")
    text = words(ClientContract(preprocessing=pre, masks=masks, prompts=prompts))
    for said in (
        "to 512 x 512, whatever its aspect",
        "To points and boxes append one point",
        "take mask 0 if it is stable (area of logits > 0.05 at least 0.98 of the area of logits > "
        "-0.05), else the best-scored of masks 1, 2 and 3",
        "Enlarge the 128 x 128 logits: bilinear to the photo",
        "Limit logits that become a mask prompt to +-32",
    ):
        assert said in text
    assert "zeros at the right" not in text


def test_a_family_that_refuses() -> None:
    prompts = replace(
        SAM_CLIENT.prompts,
        padding_point="fill",
        max_points=6,
        refuses=("background_point", "mask"),
    )
    masks = replace(SAM_CLIENT.masks, resample="bicubic", inside="at_or_above")
    text = words(replace(SAM_CLIENT, prompts=prompts, masks=masks))
    for said in (
        "Fill up to 6 points with label -1 at (-1, -1)",
        "At most 6 points. Background points are not supported. A mask as a prompt is not",
        "bicubic to 1024 x 1024",
        "keep logits >= 0.",
    ):
        assert said in text
    assert "mask_input" not in text
