"""Golden vectors: an input, a few prompts and the tensors between the stages, by PyTorch.

A client in C++ or Swift reproduces them stage by stage. The first tensor that differs shows whether
resizing, prompt coordinates, the runtime or the upscaling is at fault. Most reports of shifted
masks ask just that (samexporter#21, segment-anything#325, #753).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit import store
from edgekit.pack.volume_golden import write_volume_golden
from edgekit.records import (
    Client,
    ClientContract,
    DetectorContract,
    FloatArray,
    PhotoClient,
    PromptPart,
    Session,
    VolumeContract,
)
from edgekit.runtime.decoder_feeds import decoder_feeds
from edgekit.runtime.detections import Masks, find_objects
from edgekit.runtime.detector_prompts import object_mask
from edgekit.runtime.drawn_prompts import drawn_image, encoder_and_decoder
from edgekit.runtime.mask_choice import choose_masks
from edgekit.runtime.photo import load_photo
from edgekit.runtime.postprocess import masks_from_logits
from edgekit.runtime.preprocess import encoder_input, placement
from edgekit.runtime.prompts import Prompt

FOLDER = "golden"
_EVERY = 16
"""Every 16th slice of axis 1 of each feature is kept: whole features would take 30 MB."""

Facts = dict[str, dict[str, Sequence[float] | Sequence[Sequence[float]]]]
Tensors = dict[str, FloatArray]

_DECODER_STAGES = {
    "the encoder's outputs": "by PyTorch; of axis 1, every 16th",
    "NAME.point_coords, NAME.point_labels": "decoder inputs; mask_input and "
    "has_mask_input are zeros if the decoder has them",
    "NAME.low_res_masks, NAME.iou_predictions": "decoder outputs by PyTorch",
    "NAME.mask": "0 or 1, the single mask at the photo's size",
}
_DRAWN_STAGES = {
    "NAME.point_coords, NAME.point_labels": "the prompt in the frame",
    "NAME.drawn": "the channels of the prompt, 4 and 5 of the graph's input",
    "NAME.low_res_masks, NAME.iou_predictions": "the graph's outputs by PyTorch",
    "NAME.mask": "0 or 1, the single mask at the photo's size",
}
_DETECTOR_STAGES = {
    "boxes, scores, coefficients, prototypes": "candidates by PyTorch",
    "found.boxes, found.scores": "objects after suppression, best first; boxes are x0, y0, x1, y1 "
    "in photo pixels",
    "NAME.mask": "0 or 1, the mask that the prompt selects, at the photo's size",
}


def write_golden(
    folder: Path,
    photo: Path,
    *,
    client: Client,
    sessions: Sequence[Session],
    slots: tuple[int, ...] = (),
) -> None:
    """Write `golden/` into a bundle's folder.

    `photo.png` holds the decoded pixels, because JPEG decoders differ by a grey level.
    `tensors.npz` holds the float32 tensors of each stage. `prompts.json` holds the prompts in photo
    pixels and a guide to the tensors. A model of volumes gets the files of `volume_golden` instead.

    Args:
        folder: the bundle's.
        photo: the photo's file; a model of volumes needs none.
        client: the family's rules.
        sessions: the encoder in PyTorch, and the decoder if there is one, as they are exported.
        slots: `Target.prompt_slots`; decoder inputs get the smallest number that fits.
    """
    target = folder / FOLDER
    target.mkdir()
    if isinstance(client, VolumeContract):
        write_volume_golden(target, client, sessions)
    else:
        _write_photo_golden(target, photo, client=client, sessions=sessions, slots=slots)


def _write_photo_golden(
    target: Path,
    photo: Path,
    *,
    client: PhotoClient,
    sessions: Sequence[Session],
    slots: tuple[int, ...],
) -> None:
    from PIL import Image

    pixels = load_photo(photo)
    Image.fromarray(pixels).save(target / "photo.png")
    size = (pixels.shape[0], pixels.shape[1])
    image = encoder_input(pixels, client.preprocessing)
    encoder, decoder = encoder_and_decoder(client, *sessions)
    features = encoder.run({"image": image})
    facts = _prompts(size, client.refuses)
    prompts = {name: Prompt.checked(**given, photo_size=size) for name, given in facts.items()}
    if isinstance(client, DetectorContract):
        stages = _detector_stages(prompts, features, client, size)
    else:
        assert decoder is not None  # a ClientContract has a decoder or a stand-in for it
        stages = _decoder_stages(prompts, features, client, decoder, size=size, slots=slots)
        features = {name: array[:, ::_EVERY] for name, array in features.items()}
    tensors = {**features, "image": image, **stages}
    np.savez_compressed(target / "tensors.npz", **tensors)  # type: ignore[arg-type]
    guide = _guide(facts, _stages_told(client))
    store.write_atomic(target / "prompts.json", json.dumps(guide, indent=2) + "\n")


def _stages_told(client: PhotoClient) -> Mapping[str, str]:
    if isinstance(client, DetectorContract):
        return _DETECTOR_STAGES
    return _DRAWN_STAGES if client.drawing else _DECODER_STAGES


def _prompts(size: tuple[int, int], refuses: Sequence[PromptPart]) -> Facts:
    """A point, a box, and one of them with a background point, at fixed shares of the photo."""
    height, width = size
    box = [round(width * 0.2), round(height * 0.25), round(width * 0.7), round(height * 0.85)]
    centre = [round(width * 0.5), round(height * 0.5)]
    corner = [round(width * 0.25), round(height * 0.3)]
    facts: Facts = {"point": {"points": [centre], "labels": [1]}, "box": {"box": box}}
    if "background_point" in refuses:
        return facts
    if "points_and_box" in refuses:
        return facts | {"point_and_background": {"points": [centre, corner], "labels": [1, 0]}}
    return facts | {"box_and_background": {"box": box, "points": [corner], "labels": [0]}}


def _decoder_stages(
    prompts: Mapping[str, Prompt],
    features: Tensors,
    client: ClientContract,
    decoder: Session,
    *,
    size: tuple[int, int],
    slots: tuple[int, ...],
) -> Tensors:
    tensors: Tensors = {}
    for name, prompt in prompts.items():
        feeds = decoder_feeds([prompt], size, client, slots=slots)
        result = decoder.run({**features, **feeds})
        single, _ = choose_masks(
            client.masks.single, result["low_res_masks"], result["iou_predictions"]
        )
        mask = masks_from_logits(single[0], size, client)
        small = {key: feeds[key] for key in ("point_coords", "point_labels")}
        stages = {**small, **result, "mask": mask.astype(np.float32)}
        if client.drawing:
            tokens = feeds["point_coords"][0], feeds["point_labels"][0]
            stages["drawn"] = drawn_image(features["image"], *tokens, rule=client.drawing)[:, 3:]
        tensors |= {f"{name}.{key}": value for key, value in stages.items()}
    return tensors


def _detector_stages(
    prompts: Mapping[str, Prompt],
    features: Tensors,
    client: DetectorContract,
    size: tuple[int, int],
) -> Tensors:
    detections = find_objects(features, placement(size, client.preprocessing), client.objects)
    masks = Masks(detections)
    prompt_masks = {
        f"{name}.mask": object_mask(masks, prompt).mask[None].astype(np.float32)
        for name, prompt in prompts.items()
    }
    return {"found.boxes": detections.boxes, "found.scores": detections.scores, **prompt_masks}


def _guide(prompts: Facts, stages: Mapping[str, str]) -> object:
    return {
        "photo": "photo.png, uint8 RGB",
        "tensors": {
            "image": "encoder input after resizing, normalising and padding",
            **stages,
        },
        "prompts": prompts,
        "tolerance": "float32 runtimes agree to about 1e-3 of each tensor's largest value",
    }
