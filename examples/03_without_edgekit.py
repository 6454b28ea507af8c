"""A client without edgekit: only NumPy, Pillow, ONNX Runtime and the bundle's manifest.

It follows each rule of the manifest and reproduces the golden vectors stage by stage, as a test of
a port to C++ or Swift would. It takes bundles for ONNX Runtime.

    python examples/03_without_edgekit.py dist/nanosam-x86-ort-fp32
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image


def encoder_input(photo: Image.Image, rule: dict) -> np.ndarray:
    """Resize, normalise, pad."""
    longest = max(photo.size)
    rounding = (lambda x: int(x + 0.5)) if rule["rounding"] == "half_up" else int
    width, height = (rounding(side * rule["frame"] / longest) for side in photo.size)
    resized = np.asarray(photo.resize((width, height), Image.Resampling[rule["resample"].upper()]))
    image = np.zeros((1, 3, rule["frame"], rule["frame"]), np.float32)
    normalised = (resized - np.float32(rule["mean"])) / np.float32(rule["std"])
    image[0, :, :height, :width] = normalised.transpose(2, 0, 1)
    return image


def decoder_points(prompt: dict, photo: Image.Image, client: dict, labels: dict) -> tuple:
    """Scale photo pixels to the frame; a box becomes two labelled points."""
    frame = client["preprocessing"]["frame"]
    points = [*prompt.get("points", [])]
    codes = [*prompt.get("labels", [])]
    if client["prompts"]["padding_point"] == "without_box" and "box" not in prompt:
        points, codes = [*points, [0, 0]], [*codes, labels["padding_point"]]
    if "box" in prompt:
        points += [prompt["box"][:2], prompt["box"][2:]]
        codes += [labels["box_top_left"], labels["box_bottom_right"]]
    scale = np.full(2, frame / max(photo.size))
    if client["prompts"]["coordinate_scale"] == "per_axis":
        scale = np.array([int(side * scale[0] + 0.5) / side for side in photo.size])
    return np.float32([np.array(points) * scale]), np.float32([codes])


def check(name: str, ours: np.ndarray, golden: np.ndarray) -> None:
    """Print the largest error of a stage, relative to the reference's largest value."""
    gap = float(np.abs(ours - golden).max() / np.abs(golden).max())
    print(f"{name:40} {gap:.1e}")
    if gap > 1e-3:
        sys.exit(f"{name} differs from the golden vector")


def main(bundle: Path) -> None:
    """Run every golden prompt."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    entries = {part["role"]: part["entry"] for part in manifest["artifacts"]}
    if not entries["encoder"].endswith(".onnx"):
        sys.exit(f"{bundle} holds no ONNX files: export for the target x86-ort-fp32")
    encoder, decoder = (
        ort.InferenceSession(bundle / entries[role]) for role in ("encoder", "decoder")
    )
    client, golden = manifest["client"], np.load(bundle / "golden" / "tensors.npz")
    photo = Image.open(bundle / "golden" / "photo.png")

    image = encoder_input(photo, client["preprocessing"])
    check("image", image, golden["image"])
    names = [output.name for output in encoder.get_outputs()]
    features = dict(zip(names, encoder.run(None, {"image": image}), strict=True))
    for name, feature in features.items():
        check(name, feature[:, ::16], golden[name])  # the bundle holds every 16th
    prompts = json.loads((bundle / "golden" / "prompts.json").read_text())["prompts"]
    for name, prompt in prompts.items():
        coords, codes = decoder_points(prompt, photo, client, manifest["label_codes"])
        check(f"{name}.point_coords", coords, golden[f"{name}.point_coords"])
        feeds = {
            **features,
            "point_coords": coords,
            "point_labels": codes,
            "mask_input": np.zeros((1, 1, 256, 256), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
        }
        masks, _ = decoder.run(["low_res_masks", "iou_predictions"], feeds)
        check(f"{name}.low_res_masks", masks, golden[f"{name}.low_res_masks"])
    print("all stages agree")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
