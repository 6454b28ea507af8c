"""Make the manifest: everything a client needs, and where every file came from."""

from __future__ import annotations

import platform
from dataclasses import replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from edgekit.records import (
    Artifact,
    FileDigest,
    Label,
    Manifest,
    ModelRow,
    Target,
    WeightsSource,
)
from edgekit.version import __version__

# Packages whose version can change what an artifact computes.
_TOOLS = (
    "torch",
    "torchao",
    "litert-torch",
    "litert-converter",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "onnx",
    "onnxscript",
    "onnxsim",
    "onnxruntime",
    "openvino",
    "coremltools",
    "numpy",
    "pillow",
)

LABEL_CODES = {
    "empty_slot": Label.EMPTY,
    "padding_point": Label.PADDING,
    "background": Label.BACKGROUND,
    "foreground": Label.FOREGROUND,
    "box_top_left": Label.BOX_TOP_LEFT,
    "box_bottom_right": Label.BOX_BOTTOM_RIGHT,
}


def make_manifest(
    row: ModelRow,
    target: Target,
    weights: WeightsSource,
    *,
    artifacts: tuple[Artifact, ...],
    golden: tuple[FileDigest, ...],
) -> Manifest:
    """Make a bundle's manifest, with the versions of the installed tools.

    The model's own warning is joined to that of the weights.
    """
    warning = " ".join(filter(None, (row.warning, weights.warning))) or None
    files = tuple(_by_name(file) for file in weights.files)
    return Manifest(
        model=row.name,
        family=row.family,
        variant=row.variant,
        title=row.title,
        licence=weights.licence,
        target=target,
        client=row.client_for(weights.kind),
        label_codes=dict(LABEL_CODES),
        weights=replace(weights, files=files, warning=warning),
        artifacts=artifacts,
        golden=golden,
        tools=tool_versions(),
        edgekit=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _by_name(file: FileDigest) -> FileDigest:
    """Keep only the file's name: a shared bundle must not reveal its maker's folders."""
    return replace(file, path=Path(file.path).name)


def tool_versions() -> dict[str, str]:
    """Installed versions of every tool that can change an artifact, and of Python."""
    versions = {"python": platform.python_version()}
    for name in _TOOLS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
