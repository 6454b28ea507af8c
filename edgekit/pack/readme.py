"""The README inside a bundle: how to load it, in Python and elsewhere."""

from __future__ import annotations

from edgekit.records import Artifact, ClientContract, Manifest, TensorSpec


def bundle_readme(manifest: Manifest) -> str:
    """Markdown for whoever opens the folder without knowing edgekit."""
    return "\n".join(
        [
            f"# {manifest.title} for {manifest.target.name}",
            "",
            f"Made by edgekit {manifest.edgekit}: {manifest.target.device}, runtime "
            f"{manifest.target.runtime} {manifest.target.runtime_versions}, "
            f"{manifest.target.precision}. Weights: {manifest.weights.kind}, licence "
            f"{manifest.licence}.",
            *([f"\n> **Warning.** {w}" for w in [manifest.weights.warning] if w]),
            "",
            "## Python",
            "",
            f"    pip install 'edgekit[{manifest.target.runtime}]'",
            "",
            "    from edgekit.runtime import Predictor",
            "    predictor = Predictor('.')",
            "    predictor.set_image('photo.jpg')",
            "    masks, scores, logits = predictor.predict(points=[[320, 240]], labels=[1])",
            "",
            "## Any other language",
            "",
            *_steps(manifest.client, dict(manifest.label_codes)),
            "",
            "`golden/` holds a photo, three prompts and every tensor on the way: reproduce them in",
            "this order to test a port. `manifest.json` has the same facts as data.",
            "",
            "## Files",
            "",
            *(line for artifact in manifest.artifacts for line in _tensors(artifact)),
            "",
        ]
    )


def _steps(client: ClientContract, labels: dict[str, int]) -> list[str]:
    pre, prompts, masks = client.preprocessing, client.prompts, client.masks
    rounding = "int(x + 0.5)" if pre.rounding == "half_up" else "int(x), truncated"
    scale = (
        "x by new width / width, y by new height / height"
        if prompts.coordinate_scale == "per_axis"
        else f"x and y by {pre.frame} / longest side"
    )
    padding = (
        f"Without a box, append one point with label {labels['padding_point']}."
        if prompts.padding_point == "without_box"
        else "No padding point is ever added."
    )
    upscale = (
        f"bilinear to {pre.frame} x {pre.frame}, crop to the resized photo, bilinear to the photo"
        if masks.upscale == "frame_then_photo"
        else "crop the low-res map to the photo's aspect (truncated), bilinear to the photo"
    )
    return [
        f"1. Resize the RGB photo ({pre.resample}, antialiased as in Pillow) so that the longest "
        f"side is {pre.frame}, the other rounded by {rounding}.",
        f"2. Subtract {list(pre.mean)}, divide by {list(pre.std)} (0-255 scale), lay out as "
        f"[1, 3, {pre.frame}, {pre.frame}], zeros at the right and the bottom.",
        "3. Run the encoder once per photo.",
        f"4. Scale prompts: {scale}. A box is two points with labels "
        f"{labels['box_top_left']} and {labels['box_bottom_right']}; foreground "
        f"{labels['foreground']}, background {labels['background']}. {padding} Unused slots: label "
        f"{labels['empty_slot']}.",
        "5. Run the decoder; without an earlier mask, `mask_input` and `has_mask_input` are zeros.",
        f"6. Take mask {masks.single} (or the best-scored of {list(masks.multimask)}), {upscale} "
        f"(half-pixel centres), and keep logits > {masks.threshold}.",
    ]


def _tensors(artifact: Artifact) -> list[str]:
    size = sum(file.bytes for file in artifact.files) / 1e6
    rows = [f"- `{artifact.entry}` ({artifact.role}, {size:.1f} MB)"]
    rows += [f"  - in  `{_spec(spec)}`" for spec in artifact.inputs]
    rows += [f"  - out `{_spec(spec)}`" for spec in artifact.outputs]
    return rows


def _spec(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype}[{', '.join(str(d) for d in spec.shape)}]"
