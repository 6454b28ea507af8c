"""SAM's own keyword names, and what they are called here."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = {
    "point_coords": "points=",
    "point_labels": "labels=",
    "mask_input": "mask=",
    "multimask_output": "multimask=",
    "boxes": "predict_many([Prompt.checked(box=box) for box in boxes])",
    "return_logits": "the third of the results, low_res_logits",
    "normalize_coords": "left out: coordinates are photo pixels",
    "image": "photo=",
    "image_format": "left out: photos are RGB (from BGR: photo[..., ::-1])",
}


def refuse_keywords(function: str, names: Iterable[str]) -> None:
    """Refuse keywords that a function does not take; of SAM's own, say what they are here.

    Raises:
        TypeError: there are some, as in any Python call.
    """
    given = list(names)
    if not given:
        return
    quoted = ", ".join(f"'{name}'" for name in given)
    here = [f"SAM's {name}= is {_NAMES[name]} here" for name in given if name in _NAMES]
    raise TypeError(". ".join([f"{function}() got unexpected keyword arguments: {quoted}", *here]))
