"""The README inside a bundle: how to use it in Python and in other languages."""

from __future__ import annotations

from edgekit.catalog.runtimes import install_command, runtime_row
from edgekit.pack.client_steps import client_steps
from edgekit.pack.volume_steps import volume_steps
from edgekit.records import Artifact, Client, Manifest, TensorSpec, VolumeContract


def bundle_readme(manifest: Manifest) -> str:
    """Markdown for readers who do not know edgekit."""
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
            f"    {install_command(manifest.target.runtime)}",
            "",
            *_example(manifest.client),
            "",
            *runtime_row(manifest.target.runtime).readme.splitlines(),
            "",
            "## Any other language",
            "",
            *_steps(manifest),
            "",
            "`golden/` holds an input, prompts and every intermediate tensor. To test a port,",
            "reproduce them in this order. `manifest.json` has the same facts as data.",
            "",
            "## Files",
            "",
            *(line for artifact in manifest.artifacts for line in _tensors(artifact)),
            "",
        ]
    )


def _example(client: Client) -> list[str]:
    if isinstance(client, VolumeContract):
        return [
            "    import numpy",
            "    from edgekit.runtime import VolumePredictor",
            "    predictor = VolumePredictor('.')",
            "    predictor.set_volume(numpy.load('volume.npy'))",
            "    masks, scores, logits = predictor.predict(points=[[64, 50, 71]], labels=[1])",
        ]
    return [
        "    from edgekit.runtime import Predictor",
        "    predictor = Predictor('.')",
        "    predictor.set_image('photo.jpg')",
        "    masks, scores, logits = predictor.predict(points=[[320, 240]], labels=[1])",
    ]


def _steps(manifest: Manifest) -> list[str]:
    if isinstance(manifest.client, VolumeContract):
        return volume_steps(manifest.client)
    return client_steps(manifest.client, manifest.target.prompt_shapes)


def _tensors(artifact: Artifact) -> list[str]:
    size = sum(file.bytes for file in artifact.files) / 1e6
    rows = [f"- `{artifact.entry}` ({artifact.role}, {size:.1f} MB)"]
    rows += [f"  - in  `{_spec(spec)}`" for spec in artifact.inputs]
    rows += [f"  - out `{_spec(spec)}`" for spec in artifact.outputs]
    if need := artifact.memory:
        at = ", ".join(f"{size} {name}" for name, size in need.sizes.items())
        rows.append(
            f"  - memory about {need.weights / 1e6:.0f} MB of weights and "
            f"{need.activations / 1e6:.0f} MB of activations{f' at {at}' if at else ''}, "
            "before a compiler fuses anything"
        )
    return rows


def _spec(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype}[{', '.join(str(d) for d in spec.shape)}]"
