"""The descriptions in a package. Xcode shows them, and they stay with it outside the bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.records import Graph, Role
from edgekit.version import __version__

if TYPE_CHECKING:
    from coremltools.proto.Model_pb2 import Model

_SUMMARY = {
    Role.ENCODER: "Image encoder: run once per photo, or once per prompt where client.drawing of "
    "manifest.json draws prompts into the image.",
    Role.DECODER: "Prompt decoder: run once per prompt, on the encoder's results.",
}

TENSORS = {
    "image": "The photo, fitted into the frame and normalised as client.preprocessing of "
    "manifest.json says, RGB: resized, and padded before or after normalising. "
    "A tensor and not an image, because Core ML's image inputs have one scale for all three "
    "channels, and because their padding would be a colour, which is not zero after normalisation. "
    "From a CVPixelBuffer: resize (vImageScale, or CILanczosScaleTransform), then fill an "
    "MLMultiArray of this shape plane by plane, red first. Run it with MLModel.prediction: a "
    "VNCoreMLRequest takes image inputs only. Channels after the third hold the drawn prompt.",
    "image_embeddings": "Features of the photo, from the encoder to every call of the decoder.",
    "high_res_features": "Features of the photo at four times the resolution; as image_embeddings.",
    "hq_features": "Features of the photo for the high-quality mask; as image_embeddings.",
    "point_coords": "x, y per slot, in pixels of the encoder's frame.",
    "point_labels": "Per slot: 1 foreground, 0 background, 2 and 3 the corners of a box, -1 the "
    "padding point, -2 an empty slot, which has no influence.",
    "mask_input": "Logits of an earlier mask of the same object; zeros where there is none.",
    "has_mask_input": "1 if mask_input counts, else 0.",
    "low_res_masks": "Logits per mask; upscale, then above the threshold is inside.",
    "iou_predictions": "The decoder's own estimate of each mask's IoU.",
    "boxes": "Candidates: centre x and y, width, height in pixels of the encoder's frame.",
    "scores": "How surely each candidate is an object, 0 to 1.",
    "coefficients": "Shares of the prototypes in each candidate's mask.",
    "prototypes": "Maps that the masks are sums of.",
    "object_scores": "Above 0 where the prompt is on an object at all.",
}
"""Descriptions by the tensor names of the graph contract."""

PHOTO = "photo_"
"""How the names of the photo's maps start, which only the decoder reads."""


def describe(specification: Model, graph: Graph) -> None:
    """Fill in author, licence, version, summary, and a description of each input and output."""
    about = specification.description
    about.metadata.author = f"{graph.title or graph.role}, converted by edgekit {__version__}"
    about.metadata.license = graph.licence
    about.metadata.versionString = __version__
    about.metadata.shortDescription = _SUMMARY[graph.role]
    for feature in (*about.input, *about.output):
        feature.shortDescription = _description(feature.name)


def _description(name: str) -> str:
    if name.startswith(PHOTO):
        return "What the decoder needs of the photo: from the encoder to every call of the decoder."
    return TENSORS.get(name, "")
