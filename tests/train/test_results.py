"""What a run leaves: weights that load, a card, a curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from edgekit.errors import BadInput
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import build, load
from edgekit.models.registry import model
from edgekit.train.request import TrainRequest, command_of
from edgekit.train.result.card_facts import facts_of
from edgekit.train.result.curve import _ticks, curve
from edgekit.train.result.model_card import model_card, read_card, with_figures
from edgekit.train.result.weights_file import write_weights
from edgekit.train.stages.driving import Mark
from edgekit.train.stages.recipe import windows_recipe
from edgekit.train.stages.student import Student
from edgekit.verification.evaluation import KINDS, Means


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nanosam", "mobilesam"])
def test_weights_load_where_checkpoints_do(name: str, tmp_path: Path) -> None:
    row = model(name)
    torch.manual_seed(0)
    student = Student(*build(row))
    path = tmp_path / "trained.safetensors"
    write_weights(path, student.state_dict(), row, metadata={"seed": "0"})
    assert path.stat().st_size < 45e6
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"seed": "0"}
    split = load(row, locate(row, (str(path),)))
    loaded = Student(split.encoder, split.decoder).state_dict()
    for key, tensor in student.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded[key], expected), key


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e5])
def test_a_diverged_run_is_not_shipped(student: Student, tmp_path: Path, broken: float) -> None:
    state = student.state_dict()
    state["encoder.look.bias"][3] = broken  # 1e5 is beyond float16
    path = tmp_path / "trained.safetensors"
    with pytest.raises(BadInput, match=r"1 weights are no finite .* look\.bias"):
        write_weights(path, state, model("nanosam"), metadata={})
    assert not path.exists()


def request_for(coco: Path) -> TrainRequest:
    return TrainRequest(
        student="nanosam",
        out=Path("out"),
        annotations=coco,
        teacher="mobilenetv2",
        teacher_weights=("a b.npz",),
        steps=100,
        seed=3,
    )


def test_the_card_tells_data_recipe_command_and_figures(coco: Path, tmp_path: Path) -> None:
    request = request_for(coco)
    facts = facts_of(
        request, model("nanosam"), windows_recipe(100), teacher="T", held_out={"box": 0.5}
    )
    path = tmp_path / "card.md"
    path.write_text(model_card(facts))
    text = read_card(path)
    assert "4 photos: Attribution License" in text
    assert "4 photos, 8 masks" in text
    assert "seed 3" in text
    assert "Phase small, to step 60" in text
    assert "Teacher, 505 steps: T." in text
    assert "box 0.500" in text
    assert command_of(request) in text
    assert "Not measured yet" in text
    table = [Means(size="all", instances=9, iou=dict.fromkeys(KINDS, 0.25))]
    path.write_text(with_figures(text, table, measured_on="9 things"))
    twice = with_figures(read_card(path), table, measured_on="8 things")
    assert twice.count("| box | 0.250 |") == 1
    assert "8 things" in twice
    assert "9 things" not in twice
    assert "Not measured yet" not in twice


def test_the_command_can_be_typed(coco: Path) -> None:
    words = command_of(request_for(Path("i.json")))
    assert words == (
        "edgekit train nanosam --annotations i.json --teacher mobilenetv2 "
        "--teacher-weights 'a b.npz' --teacher-steps 505 --steps 100 --seed 3"
    )


def marks(*, count: int = 30) -> list[Mark]:
    return [
        Mark(
            step=10 * i,
            phase="point" if i < 15 else "small",
            loss=3.0 - i / 20,
            held_out={} if i % 5 else {"box": i / 40, "best_of_three": i / 60},
        )
        for i in range(1, count)
    ]


def ink(picture, colour: tuple[int, int, int], rows: slice) -> int:
    return int((np.asarray(picture)[rows] == colour).all(axis=-1).sum())


def test_the_curve_draws_loss_above_and_figures_below() -> None:
    picture = curve(marks(), title="x")
    first, second = (31, 119, 180), (214, 39, 40)
    for rows in (slice(60, 320), slice(400, 650)):
        assert ink(picture, first, rows) > 200
        assert ink(picture, second, rows) > 200
    bare = [Mark(step=m.step, phase="a", loss=m.loss, held_out={"error": 1.0}) for m in marks()]
    assert ink(curve(bare, title="x"), first, slice(400, 650)) == 0
    curve([], title="nothing yet")
    curve(marks(count=2), title="one mark")


@pytest.mark.parametrize("high", [0.3, 1.0, 2.9, 7.0, 505.0, 2905.0])
def test_axes_have_a_handful_of_round_ticks(high: float) -> None:
    ticks = _ticks(0.0, high)
    assert 4 <= len(ticks) <= 11
    assert ticks[0] == 0
    assert ticks[-1] <= high + 1e-9
    assert all(len(f"{tick:g}") <= 5 for tick in ticks)
