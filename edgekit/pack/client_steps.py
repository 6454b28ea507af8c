"""The client's rules in words: the steps that a port to another language must follow."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.records import (
    ClientContract,
    DetectionRule,
    DetectorContract,
    DrawingRule,
    EverythingRule,
    Label,
    MaskChoice,
    MaskRule,
    PhotoClient,
    Preprocessing,
    PromptRule,
    PromptShape,
    Resampling,
)

_RUN_ENCODER = "Run the encoder once per photo."
_RESAMPLING: dict[Resampling, str] = {
    "bilinear": "bilinear, antialiased as in Pillow, rounded to 8 bits",
    "bicubic": "bicubic, antialiased as in Pillow, rounded to 8 bits",
    "float_antialiased": "bilinear, antialiased as in Pillow, on floats: nothing is rounded",
    "float_bilinear": "bilinear between the nearest pixels, not antialiased, on floats",
    "fixed_point_bilinear": "OpenCV's INTER_LINEAR on 8 bits",
}
_ROUNDING = {
    "half_up": "rounded by int(x + 0.5)",
    "half_even": "rounded, halves to even",
    "truncate": "rounded by int(x), truncated",
}
_PADDING = {
    "without_box": f"Without a box, append one point with label {Label.PADDING}.",
    "never": "Never append a padding point.",
    "always": f"To points and boxes append one point with label {Label.PADDING}.",
}
_REFUSED = {
    "background_point": "Background points are not supported.",
    "mask": "A mask as a prompt is not supported.",
    "points_and_box": "Points and a box in one prompt are not supported.",
    "several_points": "Several points in one prompt are not supported.",
    "multimask": "Each prompt has one mask.",
}


def client_steps(client: PhotoClient, shapes: Sequence[PromptShape] = ()) -> list[str]:
    """Numbered steps in the order in which a client runs them; `shapes` are the target's."""
    pre = client.preprocessing
    rest = (
        _detector_steps(client)
        if isinstance(client, DetectorContract)
        else _prompt_steps(client, shapes)
    )
    steps = [_resize(pre), _normalise(pre), *rest]
    return [f"{number}. {step}" for number, step in enumerate(steps, start=1)]


def _detector_steps(client: DetectorContract) -> list[str]:
    return [
        _RUN_ENCODER,
        _suppression(client.objects),
        _box_mapping(client),
        "For each mask, multiply its coefficients by the prototypes, crop to the photo, and "
        "enlarge bilinearly to the photo (half-pixel centres, not antialiased); keep values > 0 "
        "inside the object's box.",
        "Prompts select masks. A box selects the mask with the best IoU. For points, go through "
        "the masks that contain one, from the largest to the smallest: a foreground point adds "
        "the mask, a background point removes it. Without a prompt, the answer is all masks. "
        f"{' '.join(_REFUSED[part] for part in client.refuses)}",
    ]


def _suppression(rule: DetectionRule) -> str:
    return (
        f"Keep candidates with a score > {rule.score:g}, the best first; drop each whose box has "
        f"an IoU > {rule.overlap:g} with a kept one's; keep {rule.most} at most."
    )


def _box_mapping(client: DetectorContract) -> str:
    rule, frame = client.objects, client.preprocessing.frame
    return (
        "Boxes are centre x, y, width, height in input pixels. Move edges nearer than "
        f"{rule.snap:g} to the border onto it; replace a box with an IoU > {rule.whole:g} with the "
        "whole input by the whole input. Then subtract the photo's top left corner, divide by "
        f"{frame} / longest side, and clip to the photo."
    )


def _prompt_steps(client: ClientContract, shapes: Sequence[PromptShape]) -> list[str]:
    masks, drawing = client.masks, client.drawing
    return [
        *(_drawing_steps(client, drawing) if drawing else _decoder_steps(client, shapes)),
        f"For one mask take {choice_words(masks.single)}{_several(client)}."
        + "".join(f" As {choice.name!r}: {choice_words(choice)}." for choice in masks.others),
        _enlarge(client),
        _everything(client.everything),
    ]


def _several(client: ClientContract) -> str:
    if "multimask" in client.refuses:
        return ""
    return f"; for several {choice_words(client.masks.multimask)}"


def _decoder_steps(client: ClientContract, shapes: Sequence[PromptShape]) -> list[str]:
    return [_RUN_ENCODER, _prompt_tokens(client), _run_decoder(client.prompts, shapes)]


def _drawing_steps(client: ClientContract, rule: DrawingRule) -> list[str]:
    frame = client.prompt_frame
    return [
        f"Scale prompts: {_scale(client)}. Draw each prompt into two more channels, where the "
        "centre of a pixel has whole coordinates. The first is 1 from the box's top left to its "
        "bottom right corner, edges included, and 0 outside; without a box it is 1 everywhere. "
        f"The second is 1 within {rule.radius:g} pixels of a foreground point, and 0 elsewhere."
        f"{_refused(client.prompts)}",
        f"Run the graph once per prompt, on [1, 5, {frame}, {frame}]: red, green, blue and the "
        "prompt's channels.",
    ]


def _resize(rule: Preprocessing) -> str:
    how = _RESAMPLING[rule.resample]
    if rule.fit == "squash":
        return (
            f"Resize the {rule.colour_order} photo to {rule.frame} x {rule.frame}, whatever its "
            f"aspect ({how})."
        )
    return (
        f"Resize the {rule.colour_order} photo ({how}) so that the longest side is {rule.frame}, "
        f"the other {_ROUNDING[rule.rounding]}."
    )


def _normalise(rule: Preprocessing) -> str:
    padding = {
        "longest_side": ", zeros at the right and the bottom",
        "centred": ", the photo in the middle (an odd spare pixel at the right or the bottom), "
        f"padded with {rule.fill} before this step",
        "squash": "",
    }[rule.fit]
    return (
        f"Subtract {list(rule.mean)}, divide by {list(rule.std)} (0-255 scale), lay out as "
        f"[1, 3, {rule.frame}, {rule.frame}]{padding}."
    )


def _scale(client: ClientContract) -> str:
    frame = client.prompt_frame
    return {
        "per_axis": f"x by new width / width, y by new height / height in a frame of {frame}",
        "longest_side": f"x and y by {frame} / longest side",
        "photo_sides": f"x by {frame} / width, y by {frame} / height",
    }[client.prompts.coordinate_scale]


def _refused(rule: PromptRule) -> str:
    return "".join(f" {_REFUSED[part]}" for part in rule.refuses)


def _prompt_tokens(client: ClientContract) -> str:
    rule = client.prompts
    padding = _PADDING.get(
        rule.padding_point,
        f"Fill up to {rule.max_points} points with label {Label.PADDING} at (-1, -1) in the frame.",
    )
    limit = f" At most {rule.max_points} points." if rule.max_points else ""
    return (
        f"{_point_box(rule)}Scale prompts: {_scale(client)}. A box is two points with labels "
        f"{Label.BOX_TOP_LEFT} and {Label.BOX_BOTTOM_RIGHT}; foreground {Label.FOREGROUND}, "
        f"background {Label.BACKGROUND}. "
        f"{padding} Unused slots: label {Label.EMPTY}.{limit}{_refused(rule)}"
    )


def _point_box(rule: PromptRule) -> str:
    if rule.point_margin is None:
        return ""
    return (
        "A point becomes a box: round its place in the resized photo down to a pixel, go "
        f"{rule.point_margin} pixels to each side, and scale back to the photo. "
    )


def _run_decoder(rule: PromptRule, shapes: Sequence[PromptShape]) -> str:
    which = "the decoder"
    slots = [slots for prompts, slots in shapes if prompts == 1]
    if len(slots) > 1:
        counts = f"{', '.join(map(str, slots[:-1]))} or {slots[-1]}"
        which = f"the decoder with the fewest slots that hold the prompt's points ({counts})"
    run = f"Run {which} on the encoder's outputs and the prompt{'' if slots else 's'}"
    for prompts, points in (shape for shape in shapes if shape[0] > 1):
        run += (
            f"; for many prompts of {points} points or fewer, the decoder that takes {prompts} "
            "at once (fill the last call with any of them)"
        )
    if "mask" in rule.refuses:
        return f"{run}."
    return (
        f"{run}; without an earlier mask, `mask_input` and `has_mask_input` are zeros. All prompts "
        "of a call share the mask."
    )


def choice_words(choice: MaskChoice) -> str:
    """The choice of masks in words: "the best-scored of masks 1, 2 and 3"."""
    listed = " and ".join([", ".join(map(str, choice.masks[:-1])), str(choice.masks[-1])])
    named = listed if len(choice.masks) > 1 else str(choice.masks[0])
    words = f"mask {named}" if len(choice.masks) == 1 else f"masks {named}"
    if choice.keep == "best":
        words = f"the best-scored of {words}"
    if first := choice.unless_stable:
        measured = "it" if first.measured is None else f"mask {first.measured}"
        words = (
            f"mask {first.index} if {measured} is stable (area of logits > {first.offset:g} at "
            f"least {first.threshold:g} of the area of logits > {-first.offset:g}), otherwise "
            f"{words}"
        )
    if choice.stability_offset is not None:
        offset = choice.stability_offset
        words += f", scored by area of logits > {offset:g} over area of logits > {-offset:g}"
    return words


def _enlarge(client: ClientContract) -> str:
    rule, frame, how = client.masks, client.prompt_frame, client.masks.resample
    route = {
        "frame_then_photo": f"{how} to {frame} x {frame}, crop to the resized photo, {how} to the "
        "photo",
        "straight": f"crop to the photo's aspect (truncated), {how} to the photo",
        "squashed": f"{how} to the photo",
    }[rule.upscale]
    sign = ">" if rule.inside == "above" else ">="
    return (
        f"Enlarge the {rule.side} x {rule.side} logits: {route} (half-pixel centres, not "
        f"antialiased); keep logits {sign} {rule.threshold:g}.{_clamp(rule)}"
    )


def _everything(rule: EverythingRule) -> str:
    offset = rule.stability_offset
    score = f"a score > {rule.predicted_iou:g} and " if rule.predicted_iou else ""
    return (
        f"To segment everything, ask for {rule.grid} x {rule.grid} points in the middle of equal "
        f"cells, and for each take {choice_words(rule.choice)}. Keep those with {score}an area of "
        f"logits > {offset:g} at least {rule.stability:g} of the area of logits > {-offset:g}, "
        f"both at the photo's size. If two boxes have an IoU > {rule.overlap:g}, keep the better "
        "mask."
    )


def _clamp(rule: MaskRule) -> str:
    if rule.clamp is None:
        return ""
    return f" Clip logits to +-{rule.clamp:g} before using them as a mask prompt."
