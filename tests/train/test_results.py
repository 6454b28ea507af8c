"""The files of a run: weights that load, a card, a curve."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from edgekit.catalog import photos_from_coco
from edgekit.errors import BadInput
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import build, load
from edgekit.models.registry import model
from edgekit.train import run
from edgekit.train.request import TrainRequest, command_of
from edgekit.train.result.card_facts import facts_of
from edgekit.train.result.curve import _held_out, _losses, curve_png
from edgekit.train.result.model_card import model_card, read_card, with_figures
from edgekit.train.result.weights_file import write_weights
from edgekit.train.stages.driving import CurvePoint
from edgekit.train.stages.schedule import schedule_for
from edgekit.train.stages.student import Student
from edgekit.verification.evaluation import KINDS, Means


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nanosam", "mobilesam"])
def test_trained_weights_load_as_a_checkpoint(name: str, tmp_path: Path) -> None:
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
def test_weights_of_a_diverged_run_are_refused(
    student: Student, tmp_path: Path, broken: float
) -> None:
    state = student.state_dict()
    state["encoder.patch.bias"][3] = broken  # 1e5 is beyond float16
    path = tmp_path / "trained.safetensors"
    with pytest.raises(BadInput, match=r"1 tensors are not finite .*patch\.bias"):
        write_weights(path, state, model("nanosam"), metadata={})
    assert not path.exists()


def request_for(coco: Path) -> TrainRequest:
    return TrainRequest(
        student="nanosam",
        out=Path("out"),
        annotations=(coco,),
        teacher="efficientnet-lite2",
        teacher_weights=("a b.pth",),
        batch=4,
        steps=100,
        seed=3,
    )


def test_the_card_has_data_training_command_and_figures(coco: Path, tmp_path: Path) -> None:
    request = request_for(coco)
    facts = facts_of(
        request,
        model("nanosam"),
        schedule_for(100, frames=1, refines=False, any_size=True),
        teacher="T",
        held_out={"box": 0.5},
        coco=(photos_from_coco(coco),),
    )
    path = tmp_path / "card.md"
    path.write_text(model_card(facts))
    text = read_card(path)
    assert "4 photos: Attribution License" in text
    assert "4 photos, 8 masks" in text
    assert "seed 3" in text
    assert "Phase coarse, to step 60: 8 x 256 px" in text
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


@pytest.mark.parametrize(
    ("licence", "restricts"),
    [
        ("Attribution License (http://creativecommons.org/licenses/by/2.0/)", False),
        ("Attribution-ShareAlike License", False),
        ("CC BY 4.0", False),
        ("repository LICENSE: Apache-2.0", False),
        ("Attribution-NonCommercial License", True),
        ("Attribution-NoDerivs License", True),
        ("photo CC BY-NC-SA 2.0", True),
        ("CC BY-ND 2.0", True),
        ("CC-BY-NC", True),
        ("non-commercial and research use only", True),
        ("CamVid: Cambridge, research use", True),
    ],
)
def test_the_card_tells_of_licences_that_restrict_the_use(
    coco: Path, licence: str, restricts: bool
) -> None:
    photos = photos_from_coco(coco)
    named = replace(photos, photos=tuple(replace(p, licence=licence) for p in photos.photos))
    facts = facts_of(
        request_for(coco),
        model("nanosam"),
        schedule_for(100, frames=1, refines=False, any_size=True),
        teacher=None,
        held_out={},
        coco=(named,),
    )
    assert (
        any("100% of the photos forbid commercial use" in line for line in facts.data) == restricts
    )


def test_the_command_repeats_the_request(coco: Path) -> None:
    words = command_of(request_for(Path("i.json")))
    assert words == (
        "edgekit train nanosam --annotations i.json --teacher efficientnet-lite2 "
        "--teacher-weights 'a b.pth' --teacher-steps 505 --batch 4 --steps 100 --seed 3"
    )


def points(*, count: int = 30) -> list[CurvePoint]:
    return [
        CurvePoint(
            step=10 * i,
            phase="point" if i < 15 else "small",
            loss=3.0 - i / 20,
            held_out={} if i % 5 else {"box": i / 40, "best_of_three": i / 60},
        )
        for i in range(1, count)
    ]


@pytest.mark.parametrize(
    "curve",
    [
        points(),
        [replace(p, held_out={"feature error": 1.0}) for p in points()],
        points(count=2),
        [],
    ],
    ids=["a run", "errors only", "one point", "no point"],
)
def test_every_curve_is_drawn(curve: list[CurvePoint]) -> None:
    pytest.importorskip("matplotlib")
    with Image.open(io.BytesIO(curve_png(curve, title="NanoSAM"))) as picture:
        assert (picture.format, picture.size) == ("PNG", (960, 720))


def test_losses_are_split_by_phase_and_errors_are_no_iou() -> None:
    losses = _losses(points())
    assert [(name, len(line)) for name, line in losses.items()] == [("point", 14), ("small", 15)]
    held_out = _held_out([*points(), replace(points()[0], held_out={"feature error": 1.0})])
    assert list(held_out) == ["box", "best of three"]
    assert held_out["box"][0] == (50, 5 / 40)


def test_without_matplotlib_the_result_has_no_curve(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "can_plot", lambda: False)
    row, request = model("nanosam"), TrainRequest(student="nanosam", out=tmp_path)
    schedule = schedule_for(1, frames=1, refines=False, any_size=True)
    facts = facts_of(request, row, schedule, teacher=None, held_out={}, coco=())
    result = run.write_result(tmp_path, row, facts, weights=student.state_dict(), curve=[])
    assert result.curve is None
    assert {file.name for file in tmp_path.iterdir()} == {"nanosam.safetensors", "MODEL_CARD.md"}
