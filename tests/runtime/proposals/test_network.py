"""The proposal network in NumPy: its file, which is not trusted, and what it refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.records import FloatArray
from edgekit.runtime.proposals import ProposalNetwork, read_proposals, write_proposals
from edgekit.runtime.proposals.network import CHANNELS, FEATURE, SHAPES

Change = Callable[[dict[str, Any]], None]


def network(largest: float = 0.125) -> ProposalNetwork:
    rng = np.random.default_rng(0)
    tensors = {
        name: (largest * rng.integers(-8, 9, shape) / 8).astype(np.float32)
        for name, shape in SHAPES.items()
    }
    return ProposalNetwork(model="nanosam", weights=("ab" * 32,), tensors=tensors)


def rows(grid: int) -> FloatArray:
    return np.random.default_rng(1).standard_normal((1, grid * grid, CHANNELS), np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nanosam-proposals.json"
    write_proposals(path, network(), licence="none")
    return path


def test_a_file_gives_the_network_back(file: Path) -> None:
    read, written = read_proposals(file), network()
    assert (read.model, read.weights) == (written.model, written.weights)
    assert all(np.array_equal(read.tensors[name], written.tensors[name]) for name in SHAPES)
    assert file.stat().st_size < 80_000


def test_the_confidence_is_a_share_of_each_cell() -> None:
    confidence = network().confidence({FEATURE: rows(8)})
    assert confidence.shape == (8, 8)
    assert ((confidence > 0) & (confidence < 1)).all()


def test_the_features_scale_does_not_matter() -> None:
    one, other = (network().confidence({FEATURE: s * rows(8)}) for s in (1, 100))
    assert np.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({}, "no output photo_upscaled"),
        ({"image_embeddings": rows(8)}, "no output photo_upscaled"),
        ({FEATURE: rows(8)[..., :200]}, r"shape \[1, 64, 200\]"),
        ({FEATURE: rows(8)[:, :60]}, r"shape \[1, 60, 256\]"),
        ({FEATURE: rows(8)[0]}, r"shape \[64, 256\]"),
        ({FEATURE: np.full_like(rows(8), np.nan)}, "not finite"),
    ],
)
def test_another_familys_features_are_refused(features: dict[str, FloatArray], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        network().confidence(features)


@pytest.mark.parametrize(
    ("model", "weights", "words"),
    [
        ("mobilesam", "ab" * 32, "of nanosam, and the bundle is of mobilesam"),
        ("nanosam", "cd" * 32, "of nanosam with other weights"),
    ],
)
def test_another_encoder_is_refused(model: str, weights: str, words: str) -> None:
    network().require_encoder("nanosam", ("ab" * 32,))
    with pytest.raises(BadInput, match=words):
        network().require_encoder(model, (weights,))


def no_tensors(record: dict[str, Any]) -> None:
    record["tensors"] = {}


def another_schema(record: dict[str, Any]) -> None:
    record["schema"] = 2


def a_short_tensor(record: dict[str, Any]) -> None:
    record["tensors"]["head.bias"] = ""


def no_base64(record: dict[str, Any]) -> None:
    record["tensors"]["head.bias"] = "£$"


def a_nan(record: dict[str, Any]) -> None:
    nan = np.array([np.nan], "<f2")
    record["tensors"]["head.bias"] = base64.b64encode(nan.tobytes()).decode()


def an_unknown_key(record: dict[str, Any]) -> None:
    record["code"] = "print()"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (no_tensors, "missing or unknown tensors"),
        (another_schema, "schema is 2, not 1"),
        (a_short_tensor, "head.bias: 0 bytes, and not 2"),
        (no_base64, "head.bias"),
        (a_nan, "head.bias: a number is not finite"),
        (an_unknown_key, "code: unknown key"),
    ],
)
def test_a_damaged_file_is_refused(file: Path, change: Change, words: str) -> None:
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))
    with pytest.raises(BadInput, match=words):
        read_proposals(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"", "holds no proposal network"),
        (b"\x80\x04K\x01.", "holds no proposal network"),
        (b"[]", "holds no proposal network"),
        (b" " * (2**20 + 1), "larger than"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "other.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        read_proposals(path)


def test_a_diverged_network_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not finite in float16"):
        write_proposals(tmp_path / "file.json", network(largest=1e6), licence="none")
    assert not list(tmp_path.iterdir())
