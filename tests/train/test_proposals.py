"""A proposal network: its targets, that it learns, and that NumPy computes what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.models.registry import model
from edgekit.models.sam.photo_side import PHOTO_MAPS
from edgekit.records import FloatArray, WeightsSource
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from edgekit.runtime.proposals import ProposalNetwork, read_proposals
from edgekit.runtime.proposals.network import CHANNELS, FEATURE, SHAPES
from edgekit.runtimes import cpu
from edgekit.train.data.annotations import AnnotatedPhoto, ByteMask, Region
from edgekit.train.proposals import features, run
from edgekit.train.proposals.centres import UNKNOWN, centre_map
from edgekit.train.proposals.features import PhotoRows
from edgekit.train.proposals.lesson import Example, ProposalLesson
from edgekit.train.proposals.network import ProposalNet, centre_loss
from edgekit.train.stages.arithmetic import step_autocast
from edgekit.train.stages.lesson import LessonStage
from tests.coco_shapes import BAR, DISC, SIZE
from tests.train.test_command import train

GRID = 8


def seeded_net() -> ProposalNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ProposalNet()


def test_the_rows_are_an_output_of_the_exported_encoder() -> None:
    assert FEATURE in PHOTO_MAPS


def test_numpy_computes_what_torch_does() -> None:
    net = seeded_net()
    assert {name: tuple(t.shape) for name, t in net.state_dict().items()} == SHAPES
    rows = np.random.default_rng(0).normal(2, 3, (1, GRID * GRID, CHANNELS)).astype(np.float32)
    network = ProposalNetwork(model="m", weights=(), tensors=net.arrays())
    with torch.no_grad():
        expected = torch.sigmoid(net(torch.from_numpy(rows)))[0].numpy()
    assert np.allclose(network.confidence({FEATURE: rows}), expected, rtol=1e-4, atol=1e-6)


def test_targets_are_1_in_the_cells_of_the_centres(photos: tuple[AnnotatedPhoto, ...]) -> None:
    target = centre_map(photos[0], SAM_CLIENT.preprocessing, grid=64)
    cell = max(SIZE) / 64
    disc = int((DISC[1] + 0.5) / cell), int((DISC[0] + 0.5) / cell)
    assert target[disc] == 1
    rows, columns = np.nonzero(target == 1)
    (bar,) = [(r, c) for r, c in zip(rows, columns, strict=True) if (r, c) != disc]
    x0, y0, x1, y1 = (edge / cell for edge in BAR)
    assert (x0 + x1) / 2 - 1 <= bar[1] + 0.5 <= (x0 + x1) / 2 + 1
    assert y0 < bar[0] < y1
    assert 0 < target[disc[0] + 3, disc[1]] < 1


@pytest.mark.parametrize(
    ("mask", "centre"),
    [
        (np.full((640, 640), 255, np.uint8), (320, 320)),  # thinned out to every fifth pixel
        (np.eye(640, dtype=np.uint8)[:, 2:], (2, 0)),  # whose pixels are all left out
    ],
)
def test_large_masks_have_their_centre(mask: ByteMask, centre: tuple[int, int]) -> None:
    region = Region(left=0, top=0, mask=mask, thing=True)
    photo = AnnotatedPhoto(name="p", pixels=np.zeros((640, 640, 3), np.uint8), regions=(region,))
    target = centre_map(photo, SAM_CLIENT.preprocessing, grid=64)
    (row,), (column,) = np.nonzero(target == 1)
    assert (abs(row - centre[0] // 10) <= 1, abs(column - centre[1] // 10) <= 1) == (True, True)


def test_the_padding_is_unknown(photos: tuple[AnnotatedPhoto, ...]) -> None:
    target = centre_map(photos[0], SAM_CLIENT.preprocessing, grid=64)
    assert (target[48:] == UNKNOWN).all()  # 90 of 120 pixels
    assert (target[:48] >= 0).all()


def test_the_loss_asks_for_centres_and_ignores_the_unknown() -> None:
    targets = torch.full((1, 3, 3), 0.0)
    targets[0, 1, 1], targets[0, 0] = 1, UNKNOWN
    right = torch.full((1, 3, 3), -9.0)
    right[0, 1, 1] = 9
    unknown = right.clone()
    unknown[0, 0] = 9
    wrong = right.clone()
    wrong[0, 2, 2] = 9
    losses = [float(centre_loss(logits, targets)) for logits in (right, unknown, wrong)]
    assert losses[0] == losses[1] < 1e-3
    assert losses[2] > 1


def lesson_of_marks() -> tuple[ProposalLesson, dict[Path, FloatArray], list[Example]]:
    """Rows of noise in which 64 channels mark the centres."""
    rng = np.random.default_rng(3)
    rows: dict[Path, FloatArray] = {}
    examples: list[Example] = []
    for index in range(6):
        photo, target = Path(f"{index}.jpg"), np.zeros((GRID, GRID), np.float32)
        target[tuple(rng.integers(GRID, size=2))] = 1
        rows[photo] = rng.standard_normal((GRID * GRID, CHANNELS)).astype(np.float32)
        rows[photo][:, :64] += 2 * target.reshape(-1, 1)
        examples.append(Example(photo=photo, target=target))
    lesson = ProposalLesson(rows.__getitem__, examples[1:], held_out=examples[:1], seed=0)
    return lesson, rows, examples


def test_it_learns_where_centres_are() -> None:
    lesson, rows, examples = lesson_of_marks()
    stage = LessonStage(lesson, steps=40)
    before = stage.held_out()["proposal error"]
    while stage.step < stage.steps:
        stage.run_step()
    assert stage.held_out()["proposal error"] < 0.5 * before
    trained = ProposalNetwork(model="m", weights=(), tensors=lesson.network.arrays())
    confidence = trained.confidence({FEATURE: rows[examples[0].photo][None]})
    assert np.argmax(confidence) == np.argmax(examples[0].target)


def test_it_learns_in_float32_where_other_lessons_compute_in_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gradients(features: tuple[str, ...]) -> list[torch.Tensor]:
        monkeypatch.setattr(cpu, "cpu_features", lambda: features)
        lesson, *_ = lesson_of_marks()
        with step_autocast(torch.device("cpu")):
            lesson.loss(0).backward()  # type: ignore[no-untyped-call]
        return [parameter.grad for parameter in lesson.parameters() if parameter.grad is not None]

    pairs = zip(gradients(("avx2",)), gradients(("avx512_bf16",)), strict=True)
    assert all(torch.equal(plain, other) for plain, other in pairs)


def test_rows_are_the_float32_encoders_within_a_bf16_step_and_cached(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Encoder(torch.nn.Module):
        calls = 0

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            self.calls += 1
            product = image.reshape(3, -1)[:, :4].t() @ torch.full((3, CHANNELS), 1 / 3)
            return image, product.unsqueeze(0)

    encoder = Encoder()
    monkeypatch.setattr(features, "_exported_encoder", lambda *_: (encoder, 1))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    source = WeightsSource(kind="seeded", licence="none", seed=0)
    photo = next((coco.parent / "images").iterdir())
    with torch.autocast("cpu", torch.bfloat16):
        first, again = (PhotoRows(model("nanosam"), source, device="cpu").rows(photo) for _ in "ab")
    assert first.shape == (4, CHANNELS)
    assert np.array_equal(first, again)
    assert encoder.calls == 1
    image = torch.from_numpy(encoder_input(load_photo(photo), SAM_CLIENT.preprocessing))
    expected = encoder(image)[1][0].numpy()
    assert np.allclose(first, expected, rtol=5e-4)  # cached as float16; BF16 is 3e-3 off here


@pytest.mark.slow
def test_the_command_writes_a_network_and_resumes(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rows:
        def __init__(self, *_: object, device: str) -> None:
            pass

        def rows(self, _: Path) -> FloatArray:
            return np.ones((64 * 64, CHANNELS), np.float32)

    monkeypatch.setattr(run, "PhotoRows", Rows)
    out = tmp_path / "out"
    asked = ("nanosam", "--proposals", "--annotations", coco, "--init", "bundled", "--out", out)
    first = train(*asked, "--steps", 1)
    assert first.exit_code == 0, first.output
    assert f"--proposals {out / 'nanosam-proposals.json'}" in " ".join(first.stdout.split())
    again = train(*asked, "--steps", 2, "--json")
    assert "resumes at step 1" in again.stderr
    assert "proposal error" in again.stdout
    assert read_proposals(out / "nanosam-proposals.json").model == "nanosam"
    other = train(*asked, "--seed", 1)
    assert (other.exit_code, "another seed" in other.stderr) == (2, True)
