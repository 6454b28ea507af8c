"""A small seeded encoder and decoder, through every runtime that takes captured programs.

The reference is the plain definition in PyTorch, run with no empty slot at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgekit.catalog.runtimes import RUNTIMES
from edgekit.lowering import lowering, obstacle
from edgekit.records import Gate, Graph, GraphContract, Label, Precision, Session, Target
from edgekit.runtime.opening import open_artifact

torch = pytest.importorskip("torch", reason="programs come from torch")
pytestmark = pytest.mark.slow

GRID, SLOTS = 4, 8
FRAME = 16 * GRID
# Share of the largest value by which FP32 results may differ.
LARGEST_ERROR = {"coreml": 1e-5, "litert": 1e-5}
KINDS = {
    "point": ([(31, 18)], [1]),
    "point, padded": ([(31, 18), (0, 0)], [1, -1]),
    "point + negative": ([(31, 18), (60, 5)], [1, 0]),
    "box": ([(10, 12), (50, 60)], [2, 3]),
    "box + point": ([(31, 18), (10, 12), (50, 60)], [1, 2, 3]),
    "every slot": ([(7 * i, 60 - 7 * i) for i in range(SLOTS)], [1, 0, 1, 0, 1, 0, 2, 3]),
    "mask alone": ([], []),
}
BATCH = ("point", "point, padded", "point + negative", "box")
"""Kinds of at most two points, decoded in one call."""


@dataclass(frozen=True)
class Parts:
    """Sessions of a runtime, and the modules that they must agree with."""

    name: str
    encoder: Session
    decoder: Session
    batch: Session
    """The decoder for as many prompts of two points as `BATCH` has."""
    reference: tuple[torch.nn.Module, torch.nn.Module]


@pytest.fixture(scope="module")
def modules() -> tuple[torch.nn.Module, torch.nn.Module]:
    from edgekit.models.encoders.resnet18 import ResNet18Encoder
    from edgekit.models.sam import SamDecoder

    pair = (ResNet18Encoder(grid=GRID).eval(), SamDecoder(frame=FRAME, grid=GRID).eval())
    for module in pair:
        _seed(module)
    return pair


def _seed(module: torch.nn.Module) -> None:
    from edgekit.models.seeded import seeded_tensor

    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(seeded_tensor(name, tuple(tensor.shape), 0)))


@pytest.fixture(
    scope="module", params=[name for name, row in RUNTIMES.items() if row.takes == "program"]
)
def parts(
    request: pytest.FixtureRequest, modules, tmp_path_factory: pytest.TempPathFactory
) -> Parts:
    from edgekit.program.capture import capture_decoder, capture_encoder
    from edgekit.program.passes.exported_form import exported_forms
    from edgekit.program.saved import save_program

    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    if missing := obstacle(_target(name)):
        pytest.skip(missing)
    forms = exported_forms(*modules, GraphContract())
    contract = forms.contract
    encoder = capture_encoder(forms.encoder, frame=FRAME, contract=contract)
    decoders = [
        capture_decoder(
            forms.decoder,
            features=encoder.outputs,
            slots=slots,
            prompts=prompts,
            contract=contract,
        )
        for prompts, slots in ((1, SLOTS), (len(BATCH), 2))
    ]
    sessions = [
        _session(save_program(program, folder=folder), name, folder)
        for program in (encoder, *decoders)
    ]
    return Parts(name, *sessions, reference=modules)


def _target(name: str) -> Target:
    return Target(
        name="bench",
        device="a test",
        runtime=name,
        runtime_versions=">=1",
        precision=Precision.FP32,
        opset=20,
        memory_mb=1024,
        gate=Gate(mean_iou=0.999, min_iou=0.99),
        prompt_slots=(SLOTS,),
    )


def _session(graph: Graph, name: str, folder: Path) -> Session:
    target = _target(name)
    artifact = lowering(target).lower(graph, target, folder)
    return open_artifact(artifact, folder, target, threads=1)


def _noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _error(got: np.ndarray, expected: torch.Tensor) -> float:
    """The largest difference relative to the largest value."""
    wanted = expected.numpy()
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def test_the_encoder_equals_the_module(parts: Parts) -> None:
    """A strided max pool, GELU, and a transposed convolution with output padding."""
    image = _noise(1, 1, 3, FRAME, FRAME)
    with torch.inference_mode():
        expected = _maps(parts, parts.reference[0](torch.from_numpy(image)))
    got = parts.encoder.run({"image": image})
    assert got.keys() == expected.keys()
    for name, wanted in expected.items():
        assert _error(got[name], wanted) <= LARGEST_ERROR[parts.name], name


def _maps(parts: Parts, embeddings: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the decoder's form takes in place of the image embedding."""
    side = parts.reference[1].exported_form().photo_side()
    return dict(zip(side.names, side(embeddings), strict=True))


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_equals_the_module_without_empty_slots(
    parts: Parts, kind: str, with_mask: bool
) -> None:
    if not KINDS[kind][0] and not with_mask:
        pytest.skip("a prompt without points is a mask")
    feeds = _feeds(kind, with_mask=with_mask)
    got = parts.decoder.run(_on_maps(parts, feeds))
    for name, expected in _reference(parts, kind, feeds).items():
        assert _error(got[name], expected) <= LARGEST_ERROR[parts.name], name


@pytest.mark.parametrize("with_mask", [False, True])
def test_a_batch_equals_the_module_prompt_by_prompt(parts: Parts, with_mask: bool) -> None:
    each = [_feeds(kind, with_mask=with_mask) for kind in BATCH]
    prompts = {
        name: np.concatenate([feeds[name][:, :2] for feeds in each])
        for name in ("point_coords", "point_labels")
    }
    got = parts.batch.run(_on_maps(parts, each[0] | prompts))
    for index, (kind, feeds) in enumerate(zip(BATCH, each, strict=True)):
        for name, expected in _reference(parts, kind, feeds).items():
            error = _error(got[name][index : index + 1], expected)
            assert error <= LARGEST_ERROR[parts.name], (kind, name)


def _reference(parts: Parts, kind: str, feeds: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The module's results for a prompt without empty slots."""
    tokens = len(KINDS[kind][0])
    short = {
        name: array[:, :tokens] if name.startswith("point") else array
        for name, array in feeds.items()
    }
    with torch.inference_mode():
        masks, scores = parts.reference[1](*(torch.from_numpy(a) for a in short.values()))
    return {"low_res_masks": masks, "iou_predictions": scores}


def _on_maps(parts: Parts, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The feeds with the photo's maps in place of its embedding."""
    prompts = {name: array for name, array in feeds.items() if name != "image_embeddings"}
    with torch.inference_mode():
        maps = _maps(parts, torch.from_numpy(feeds["image_embeddings"]))
    return prompts | {name: array.numpy() for name, array in maps.items()}


def _feeds(kind: str, *, with_mask: bool) -> dict[str, np.ndarray]:
    places, labels = KINDS[kind]
    coords = np.full((1, SLOTS, 2), 33, np.float32)  # must not matter where slots are empty
    codes = np.full((1, SLOTS), Label.EMPTY, np.float32)
    coords[0, : len(places)] = np.reshape(places, (-1, 2))
    codes[0, : len(labels)] = labels
    side = 4 * GRID
    return {
        "image_embeddings": _noise(2, 1, 256, GRID, GRID),
        "point_coords": coords,
        "point_labels": codes,
        "mask_input": 8 * _noise(3, 1, 1, side, side) * with_mask,
        "has_mask_input": np.array([float(with_mask)], np.float32),
    }
