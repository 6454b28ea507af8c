"""The client's rules in words: what a port to another language has to do, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.records import (
    Client,
    ClientContract,
    DetectionRule,
    DetectorContract,
    Label,
    MaskChoice,
    MaskRule,
    Preprocessing,
    PromptRule,
    Resampling,
)

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
    "never": "No padding point is ever added.",
    "always": f"To points and boxes append one point with label {Label.PADDING}.",
}
_REFUSED = {
    "background_point": "Background points are not supported.",
    "mask": "A mask as a prompt is not supported.",
    "points_and_box": "Points and a box in one prompt are not supported.",
    "multimask": "There is one mask for a prompt.",
}


def client_steps(client: Client, slots: Sequence[int] = ()) -> list[str]:
    """Numbered sentences, in the order in which a client works; `slots` are the target's."""
    pre = client.preprocessing
    steps = [
        _resizing(pre),
        _normalising(pre),
        "Run the encoder once per photo.",
        *(_finding(client) if isinstance(client, DetectorContract) else _answering(client, slots)),
    ]
    return [f"{number}. {step}" for number, step in enumerate(steps, start=1)]


def _finding(client: DetectorContract) -> list[str]:
    return [
        _keeping(client.objects),
        _placing(client),
        "A mask is its coefficients times the prototypes, cropped to the photo, enlarged "
        "bilinearly to the photo (half-pixel centres, not antialiased); keep what is > 0 and "
        "inside its box.",
        "Prompts choose: a box the mask with the best IoU; points, from the largest mask that "
        "holds one to the smallest, add the mask where they are foreground and take it away "
        "where they are background. Without a prompt the answer is all masks. "
        f"{' '.join(_REFUSED[part] for part in client.refuses)}",
    ]


def _keeping(rule: DetectionRule) -> str:
    return (
        f"Keep candidates with a score > {rule.score:g}, the best first; drop one whose box has an "
        f"IoU > {rule.overlap:g} with a kept one's; keep {rule.most} at most."
    )


def _placing(client: DetectorContract) -> str:
    rule, frame = client.objects, client.preprocessing.frame
    return (
        "Boxes are centre x, y, width, height in input pixels: edges nearer than "
        f"{rule.snap:g} to the border lie on it, and a box with an IoU > {rule.whole:g} with the "
        f"whole input is all of it. Subtract the photo's place, divide by {frame} / longest side, "
        "limit to the photo."
    )


def _answering(client: ClientContract, slots: Sequence[int]) -> list[str]:
    prompts, masks = client.prompts, client.masks
    return [
        _prompting(client),
        _decoding(prompts, slots),
        f"For one mask take {_choice(masks.single)}; for several {_choice(masks.multimask)}."
        + "".join(f" As {choice.name!r}: {_choice(choice)}." for choice in masks.others),
        _enlarging(client),
    ]


def _resizing(rule: Preprocessing) -> str:
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


def _normalising(rule: Preprocessing) -> str:
    padding = {
        "longest_side": ", zeros at the right and the bottom",
        "centred": f", the photo in the middle (an odd pixel to spare at the right or the bottom) "
        f"of {rule.fill} before this step",
        "squash": "",
    }[rule.fit]
    return (
        f"Subtract {list(rule.mean)}, divide by {list(rule.std)} (0-255 scale), lay out as "
        f"[1, 3, {rule.frame}, {rule.frame}]{padding}."
    )


def _prompting(client: ClientContract) -> str:
    rule, frame = client.prompts, client.prompt_frame
    scale = (
        f"x by new width / width, y by new height / height in a frame of {frame}"
        if rule.coordinate_scale == "per_axis"
        else f"x and y by {frame} / longest side"
    )
    padding = _PADDING.get(
        rule.padding_point,
        f"Fill up to {rule.max_points} points with label {Label.PADDING} at (-1, -1) in the frame.",
    )
    refused = "".join(f" {_REFUSED[part]}" for part in rule.refuses)
    limit = f" At most {rule.max_points} points." if rule.max_points else ""
    return (
        f"Scale prompts: {scale}. A box is two points with labels {Label.BOX_TOP_LEFT} and "
        f"{Label.BOX_BOTTOM_RIGHT}; foreground {Label.FOREGROUND}, background {Label.BACKGROUND}. "
        f"{padding} Unused slots: label {Label.EMPTY}.{limit}{refused}"
    )


def _decoding(rule: PromptRule, slots: Sequence[int]) -> str:
    which = "the decoder"
    if len(slots) > 1:
        counts = f"{', '.join(map(str, slots[:-1]))} or {slots[-1]}"
        which = f"the decoder with the fewest slots that hold the prompt's points ({counts})"
    run = f"Run {which} on the encoder's outputs and the prompt{'' if slots else 's'}"
    if "mask" in rule.refuses:
        return f"{run}."
    return f"{run}; without an earlier mask, `mask_input` and `has_mask_input` are zeros."


def _choice(choice: MaskChoice) -> str:
    listed = " and ".join([", ".join(map(str, choice.masks[:-1])), str(choice.masks[-1])])
    named = listed if len(choice.masks) > 1 else str(choice.masks[0])
    words = f"mask {named}" if len(choice.masks) == 1 else f"masks {named}"
    if choice.keep == "best":
        words = f"the best-scored of {words}"
    if first := choice.unless_stable:
        words = (
            f"mask {first.index} if it is stable (area of logits > {first.offset:g} at least "
            f"{first.threshold:g} of the area of logits > {-first.offset:g}), else {words}"
        )
    if choice.stability_offset is not None:
        offset = choice.stability_offset
        words += f", scored by area of logits > {offset:g} over area of logits > {-offset:g}"
    return words


def _enlarging(client: ClientContract) -> str:
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
        f"antialiased); keep logits {sign} {rule.threshold:g}.{_limit(rule)}"
    )


def _limit(rule: MaskRule) -> str:
    if rule.clamp is None:
        return ""
    return f" Limit logits that become a mask prompt to +-{rule.clamp:g}."
