"""The steps of a bundle's README describe every rule that a client needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.models import registry
from edgekit.models.families.fastsam import CLIENT as FASTSAM
from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.models.families.squeezesam import CLIENT as SQUEEZESAM
from edgekit.pack.client_steps import client_steps
from edgekit.records import ClientContract, MaskChoice, StableMask, VolumeContract


def steps_text(client: ClientContract) -> str:
    return "\n".join(client_steps(client))


OF_PHOTOS = [row for row in registry.models() if not isinstance(row.client, VolumeContract)]


@pytest.mark.parametrize("row", OF_PHOTOS, ids=lambda row: row.name)
def test_every_model_of_photos_has_its_steps(row) -> None:
    text = steps_text(row.client)
    steps = "12345678" if row.client.decodes else "1234567"
    assert [line[0] for line in text.splitlines()] == list(steps)
    assert "None" not in text
    assert f"[1, 3, {row.client.preprocessing.frame}," in text
    if isinstance(row.client, ClientContract):
        assert f"{row.client.masks.side} x {row.client.masks.side} logits" in text
    else:
        assert f"score > {row.client.objects.score}" in text


def test_detector_steps() -> None:
    text = steps_text(FASTSAM)
    for phrase in (
        "OpenCV's INTER_LINEAR on 8 bits",
        "the other rounded, halves to even",
        "the photo in the middle",
        "padded with 114 before this step",
        "IoU > 0.9 with a kept one's; keep 300 at most",
        "Without a prompt, the answer is all masks",
        "Points and a box in one prompt are not supported.",
    ):
        assert phrase in text
    assert "decoder" not in text


def test_steps_that_draw_the_prompt() -> None:
    text = steps_text(SQUEEZESAM)
    for phrase in (
        "x by new width / width, y by new height / height in a frame of 512. Draw each prompt",
        "The second is 1 within 5 pixels of a foreground point",
        "Background points are not supported. A mask as a prompt is not supported.",
        "Run the graph once per prompt, on [1, 5, 512, 512]",
        "the best-scored of masks 0, 1 and 2",
    ):
        assert phrase in text
    assert "coder" not in text


def test_sam_steps() -> None:
    text = steps_text(SAM_CLIENT)
    for phrase in (
        "longest side is 1024, the other rounded by int(x + 0.5)",
        "zeros at the right and the bottom",
        "Without a box, append one point with label -1",
        "take mask 0; for several masks 1, 2 and 3.",
        "bilinear to 1024 x 1024, crop to the resized photo",
        "keep logits > 0.",
    ):
        assert phrase in text


def test_a_family_with_one_mask_has_no_choice_of_several() -> None:
    text = steps_text(registry.model("rwkvsam").client)
    assert "For one mask take mask 0.\n" in text
    assert "Each prompt has one mask." in text
    assert "several" not in text


def test_steps_name_the_decoders_by_slots() -> None:
    text = "\n".join(client_steps(SAM_CLIENT, ((1, 5), (1, 16), (8, 2))))
    assert "Run the decoder with the fewest slots that hold the prompt's points (5 or 16)" in text
    assert "many prompts of 2 points or fewer, the decoder that takes 8 at once" in text
    one = "\n".join(client_steps(SAM_CLIENT, ((1, 8),)))
    assert "fewest" not in one
    assert "at once" not in one


def test_family_that_squashes_the_photo() -> None:
    pre = replace(SAM_CLIENT.preprocessing, fit="squash", resample="float_antialiased", frame=512)
    single = MaskChoice(
        masks=(1, 2, 3),
        keep="best",
        unless_stable=StableMask(index=0, offset=0.05, threshold=0.98),
    )
    masks = replace(SAM_CLIENT.masks, single=single, upscale="squashed", clamp=32.0, side=128)
    prompts = replace(SAM_CLIENT.prompts, padding_point="always")
    text = steps_text(ClientContract(preprocessing=pre, masks=masks, prompts=prompts))
    for phrase in (
        "to 512 x 512, whatever its aspect",
        "To points and boxes append one point",
        "take mask 0 if it is stable (area of logits > 0.05 at least 0.98 of the area of logits > "
        "-0.05), otherwise the best-scored of masks 1, 2 and 3",
        "Enlarge the 128 x 128 logits: bilinear to the photo",
        "Clip logits to +-32 before using them as a mask prompt",
    ):
        assert phrase in text
    assert "zeros at the right" not in text


def test_another_mask_decides_whether_one_is_stable() -> None:
    stable = StableMask(index=0, offset=0.05, threshold=0.98, measured=5)
    single = MaskChoice(masks=(1, 2, 3), keep="best", unless_stable=stable)
    client = replace(SAM_CLIENT, masks=replace(SAM_CLIENT.masks, single=single))
    assert "take mask 0 if mask 5 is stable (area of logits > 0.05" in steps_text(client)


def test_everything() -> None:
    text = steps_text(SAM_CLIENT)
    for phrase in (
        "ask for 32 x 32 points",
        "take masks 1, 2 and 3. Keep those with a score > 0.88",
        "logits > 1 at least 0.95 of the area of logits > -1",
        "IoU > 0.7",
    ):
        assert phrase in text
    unscored = replace(SAM_CLIENT.everything, predicted_iou=0.0)
    assert "a score >" not in steps_text(replace(SAM_CLIENT, everything=unscored))


def test_family_whose_points_become_boxes() -> None:
    prompts = replace(
        SAM_CLIENT.prompts,
        coordinate_scale="photo_sides",
        point_margin=3,
        refuses=("several_points",),
    )
    text = steps_text(replace(SAM_CLIENT, prompts=prompts))
    for phrase in (
        "A point becomes a box: round its place in the resized photo down to a pixel, go 3 pixels "
        "to each side, and scale back to the photo.",
        "Scale prompts: x by 1024 / width, y by 1024 / height.",
        "Several points in one prompt are not supported.",
    ):
        assert phrase in text


def test_family_that_refuses_prompts() -> None:
    prompts = replace(
        SAM_CLIENT.prompts,
        padding_point="fill",
        max_points=6,
        refuses=("background_point", "mask"),
    )
    masks = replace(SAM_CLIENT.masks, resample="bicubic", inside="at_or_above")
    text = steps_text(replace(SAM_CLIENT, prompts=prompts, masks=masks))
    for phrase in (
        "Fill up to 6 points with label -1 at (-1, -1)",
        "At most 6 points. Background points are not supported. A mask as a prompt is not",
        "bicubic to 1024 x 1024",
        "keep logits >= 0.",
    ):
        assert phrase in text
    assert "mask_input" not in text
