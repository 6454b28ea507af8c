"""A small sound bundle. Each test damages it in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import (
    Artifact,
    Gate,
    Manifest,
    Precision,
    Role,
    Target,
    TensorSpec,
    WeightsSource,
)
from edgekit.store import digest_file, write_manifest
from tests.manifests import change_manifest

TARGET = Target(
    name="x86-fp32",
    device="any",
    runtime="openvino",
    runtime_versions=">=2026.0",
    precision=Precision.FP32,
    opset=20,
    memory_mb=100,
    gate=Gate(mean_iou=0.999, min_iou=0.99),
    options={"INFERENCE_PRECISION_HINT": "f32"},
)


def _artifact(folder: Path, role: Role) -> Artifact:
    (folder / f"{role}.onnx").write_bytes(b"graph of the " + role.encode())
    return Artifact(
        role=role,
        format="onnx",
        entry=f"{role}.onnx",
        files=(digest_file(folder / f"{role}.onnx", folder),),
        inputs=(TensorSpec(name="image", dtype="float32", shape=(1, 3, 1024, 1024)),),
        outputs=(
            TensorSpec(name="low_res_masks", dtype="float32", shape=("prompts", 4, 256, 256)),
        ),
        ops={"Conv": 3},
    )


@pytest.fixture
def manifest(bundle_dir: Path) -> Manifest:
    (bundle_dir / "golden").mkdir()
    (bundle_dir / "golden" / "case-0.npz").write_bytes(b"golden")
    return Manifest(
        model="nanosam",
        family="nanosam",
        variant="r18",
        title="NanoSAM",
        licence="Apache-2.0",
        target=TARGET,
        client=SAM_CLIENT,
        label_codes={"foreground": 1},
        weights=WeightsSource(kind="seeded", licence="none", seed=3),
        artifacts=tuple(_artifact(bundle_dir, role) for role in Role),
        golden=(digest_file(bundle_dir / "golden" / "case-0.npz", bundle_dir),),
        tools={"onnx": "1.23"},
        edgekit="0.1.0",
        created="2026-11-20T12:00:00Z",
    )


@pytest.fixture
def bundle_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "nanosam-x86-fp32"
    folder.mkdir()
    return folder


@pytest.fixture
def bundle(bundle_dir: Path, manifest: Manifest) -> Path:
    write_manifest(bundle_dir, manifest)
    return bundle_dir


Tamper = Callable[[Callable[[dict[str, Any]], None]], Path]


@pytest.fixture
def tampered(bundle: Path) -> Tamper:
    """Change the manifest's JSON with a function; returns the bundle."""

    def tamper(change: Callable[[dict[str, Any]], None]) -> Path:
        change_manifest(bundle, change)
        return bundle

    return tamper
