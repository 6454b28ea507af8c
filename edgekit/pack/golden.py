"""Golden vectors: one photo, three prompts, every tensor on the way, from the PyTorch reference.

A client written in C++ or Swift reproduces them stage by stage: the first tensor that differs says
whether resizing, prompt coordinates, the runtime or the upscaling is at fault. That is the
question behind most reports of shifted masks (samexporter#21, segment-anything#325, #753).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit import store
from edgekit.records import ClientContract, FloatArray, Session
from edgekit.runtime.choice import chosen
from edgekit.runtime.photo import load_photo
from edgekit.runtime.postprocess import masks_from_logits
from edgekit.runtime.preprocess import encoder_input
from edgekit.runtime.prompts import Prompt, decoder_feeds

FOLDER = "golden"


def write_golden(
    folder: Path,
    photo: Path,
    *,
    client: ClientContract,
    encoder: Session,
    decoder: Session,
    slots: int | None = None,
) -> None:
    """Write `golden/` into a bundle's folder.

    `photo.png` holds the decoded pixels (JPEG decoders differ by a grey level), `tensors.npz` the
    float32 tensors by stage, `prompts.json` the prompts in photo pixels and what is where. The
    decoder's inputs are filled up to `slots`, if the target's decoder has a fixed number.
    """
    from PIL import Image

    target = folder / FOLDER
    target.mkdir()
    pixels = load_photo(photo)
    Image.fromarray(pixels).save(target / "photo.png")
    size = (pixels.shape[0], pixels.shape[1])
    image = encoder_input(pixels, client.preprocessing)
    embeddings = encoder.run({"image": image})
    tensors: dict[str, FloatArray] = {"image": image, **embeddings}
    facts = _prompts(size)
    prompts = {name: Prompt.checked(**given, photo_size=size) for name, given in facts.items()}
    taken = {
        name: prompt
        for name, prompt in prompts.items()
        if not prompt.parts.intersection(client.prompts.refuses)
    }
    for name, prompt in taken.items():
        feeds = decoder_feeds([prompt], size, client, slots=slots)
        result = decoder.run({**embeddings, **feeds})
        tensors |= _stages(name, feeds, result, size=size, client=client)
    np.savez_compressed(target / "tensors.npz", **tensors)  # type: ignore[arg-type]
    store.write_atomic(
        target / "prompts.json", json.dumps(_guide({n: facts[n] for n in taken}), indent=2) + "\n"
    )


def _prompts(
    size: tuple[int, int],
) -> dict[str, dict[str, Sequence[float] | Sequence[Sequence[float]]]]:
    """A point, a box, and a box with a background point, at fixed shares of the photo."""
    height, width = size
    box = [round(width * 0.2), round(height * 0.25), round(width * 0.7), round(height * 0.85)]
    centre = [round(width * 0.5), round(height * 0.5)]
    corner = [round(width * 0.25), round(height * 0.3)]
    return {
        "point": {"points": [centre], "labels": [1]},
        "box": {"box": box},
        "box_and_background": {"box": box, "points": [corner], "labels": [0]},
    }


def _stages(
    name: str,
    feeds: dict[str, FloatArray],
    result: dict[str, FloatArray],
    *,
    size: tuple[int, int],
    client: ClientContract,
) -> dict[str, FloatArray]:
    single, _ = chosen(client.masks.single, result["low_res_masks"], result["iou_predictions"])
    mask = masks_from_logits(single[0], size, client)
    small = {key: feeds[key] for key in ("point_coords", "point_labels")}
    tensors = {**small, **result, "mask": mask.astype(np.float32)}
    return {f"{name}.{key}": value for key, value in tensors.items()}


def _guide(prompts: dict[str, dict[str, Sequence[float] | Sequence[Sequence[float]]]]) -> object:
    return {
        "photo": "photo.png, uint8 RGB",
        "tensors": {
            "image": "encoder input after resizing, normalising and padding",
            "image_embeddings and its like": "encoder outputs of the PyTorch reference",
            "NAME.point_coords, NAME.point_labels": "decoder inputs; mask_input and "
            "has_mask_input, where there are such, are zeros",
            "NAME.low_res_masks, NAME.iou_predictions": "decoder outputs of the reference",
            "NAME.mask": "0 or 1, the single mask at the photo's size",
        },
        "prompts": prompts,
        "tolerance": "float32 runtimes agree to about 1e-3 of each tensor's largest value",
    }
