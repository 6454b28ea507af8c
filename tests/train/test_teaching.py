"""Teachers: their maps and embeddings, the cache, and that a student learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import BadInput, CheckpointMismatch
from edgekit.models.encoders.resnet18 import ResNet18
from edgekit.models.registry import model
from edgekit.records import FloatArray, WeightsSource
from edgekit.train.data.canvases import Canvases
from edgekit.train.data.reading import read_data, split
from edgekit.train.stages import lesson as lesson_stage
from edgekit.train.stages.lesson import LessonStage
from edgekit.train.stages.starting import starting_student
from edgekit.train.stages.student import Student
from edgekit.train.teachers.choosing import Teacher, teacher_for
from edgekit.train.teachers.distillation import BACKBONE_STAGES, FeatureDistillation, stage_outputs
from edgekit.train.teachers.efficientnet_lite2 import (
    EfficientNetLite2,
    _layers,
    _norm_of,
    load_efficientnet_lite2,
)
from edgekit.train.teachers.embeddings import EmbeddingTeacher
from edgekit.train.teachers.lessons import EmbeddingLesson, FeatureLesson
from tests.train.conftest import TinyEncoder


def random_weights() -> dict[str, torch.Tensor]:
    """Random weights of EfficientNet-Lite2's names and shapes, with batch norms."""
    generator = torch.Generator().manual_seed(0)
    tensors = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    for name, shape in _layers():
        scale = (2 / np.prod(shape[1:])) ** 0.5
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) * scale
        for part, value in {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}.items():
            tensors[f"{_norm_of(name)}.{part}"] = torch.full(shape[:1], float(value))
    return tensors


@pytest.fixture(scope="session")
def lite2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lite2.pth"
    torch.save(random_weights(), path)
    return path


def test_the_classifier_has_maps_at_four_strides(lite2: Path) -> None:
    teacher = load_efficientnet_lite2(lite2)
    maps = teacher.features(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (24, 16, 24),
        (48, 8, 12),
        (120, 4, 6),
        (352, 2, 3),
    ]
    assert teacher(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_batch_norm_is_folded_into_the_convolutions() -> None:
    tensors = random_weights()
    generator = torch.Generator().manual_seed(1)
    for part in ("weight", "bias", "running_mean", "running_var"):
        tensors[f"_bn0.{part}"] = 0.5 + torch.rand(32, generator=generator)
    rgb = 255 * torch.rand(1, 3, 32, 32, generator=generator)
    norm = nn.BatchNorm2d(32, eps=1e-3).eval()
    norm.load_state_dict(
        {
            part: tensors[f"_bn0.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        },
        strict=False,
    )
    padded = nn.functional.pad((rgb - 127) / 128, (0, 1, 0, 1))
    plain = nn.functional.conv2d(padded, tensors["_conv_stem.weight"], stride=2)
    stem = EfficientNetLite2(tensors).stem((rgb - 127) / 128)
    torch.testing.assert_close(stem, norm(plain).clamp(0, 6), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["_fc.bias", "_bn1.bias", "_blocks.20._project_conv.weight"])
def test_weights_of_another_network_are_refused(name: str) -> None:
    tensors = random_weights()
    with pytest.raises(CheckpointMismatch, match=f"{name} should be .* it has the shape"):
        EfficientNetLite2({**tensors, name: torch.zeros(3, 3)})
    del tensors[name]
    with pytest.raises(CheckpointMismatch, match=f"{name} should be .* it is missing"):
        EfficientNetLite2(tensors)


def test_stage_outputs_are_collected_within_the_context_only() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    with stage_outputs(net, ["0", "1"]) as outputs:
        result = net(torch.ones(1, 2))
    assert [o.shape[1] for o in outputs] == [3, 4]
    assert outputs[1] is result
    net(torch.ones(1, 2))
    assert len(outputs) == 2


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet18()


@pytest.mark.slow
def test_a_backbone_learns_features(
    lite2: Path, canvases: Canvases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FeatureLesson, "_SIZES", ((2, 64),))
    monkeypatch.setattr(lesson_stage, "_WARMUP", 1)
    torch.manual_seed(0)
    encoder = Encoder()
    features = FeatureDistillation(load_efficientnet_lite2(lite2), (64, 128, 256, 512))
    lesson = FeatureLesson(encoder, features, canvases, held_out=canvases, seed=0)
    assert not any("teacher" in name for name in lesson.state_dict())
    stage = LessonStage(lesson, steps=6)
    first = stage.run_step().loss
    for _ in range(5):
        last = stage.run_step().loss
    assert last < 0.9 * first
    assert set(stage.held_out()) == {"feature error"}
    resumed = LessonStage(lesson, steps=6)
    resumed.restore(stage.state())
    assert resumed.step == 6


class Counting(EmbeddingTeacher):
    """A teacher without a model: every token is the photo's mean. Counts its computations."""

    computed = 0

    def _compute(self, photo: Path) -> FloatArray:
        from edgekit.runtime import load_photo

        Counting.computed += 1
        mean = load_photo(photo).mean() / 100
        return np.full((256, 64, 64), mean, np.float32)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counting:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    Counting.computed = 0
    return another_teacher(seed=0)


def another_teacher(seed: int) -> Counting:
    source = WeightsSource(kind="seeded", licence="none", seed=seed)
    return Counting(model("mobilesam"), source, device="cpu")


def test_embeddings_are_computed_once_per_photo_and_weights(counting: Counting, coco: Path) -> None:
    files = read_data((coco,), None).train_files
    for photo in (files[0], files[1], files[0]):
        assert counting.embedding(photo).shape == (256, 64, 64)
    assert counting.computed == 2
    another_teacher(seed=0).embedding(files[0])
    assert counting.computed == 2
    another_teacher(seed=1).embedding(files[0])
    assert counting.computed == 3


@pytest.mark.slow
def test_a_student_learns_embeddings(counting: Counting, coco: Path) -> None:
    data = read_data((coco,), None)
    torch.manual_seed(0)
    encoder = TinyEncoder(64)
    with torch.no_grad():
        encoder.pos_embedding.zero_()
    rule = model("nanosam").client.preprocessing
    lesson = EmbeddingLesson(
        encoder, rule, counting, data.train_files, held_out=data.held_out_files, seed=0
    )
    stage = LessonStage(lesson, steps=6)
    before = stage.held_out()["embedding error"]
    for _ in range(6):
        stage.run_step()
    assert stage.held_out()["embedding error"] < before


def test_padding_teaches_nothing(counting: Counting, coco: Path) -> None:
    """The photos are 120 x 90 pixels, so 48 of the 64 rows of tokens show a photo."""
    data = read_data((coco,), None)
    encoder = TinyEncoder(64)
    rule = model("nanosam").client.preprocessing
    lesson = EmbeddingLesson(encoder, rule, counting, data.train_files, held_out=(), seed=0)
    lesson.loss(0).backward()
    gradient = encoder.pos_embedding.grad
    assert gradient is not None
    assert (gradient[:, :, :48] != 0).all()
    assert (gradient[:, :, 48:] == 0).all()


@pytest.mark.slow
def test_a_teacher_of_the_registry_passes_its_decoder_on(coco: Path) -> None:
    teacher = teacher_for("nanosam", ("seeded",), device=torch.device("cpu"), seed=0)
    student = starting_student(model("nanosam"), (), teacher, seed=0)
    assert teacher.embeddings
    theirs = teacher.embeddings.split().decoder.state_dict()
    assert all(torch.equal(theirs[k], v) for k, v in student.decoder.state_dict().items())
    embedding = teacher.embeddings.embedding(read_data((coco,), None).train_files[0])
    assert embedding.std() > 0


@pytest.mark.slow
def test_random_initial_weights_depend_on_the_seed_alone() -> None:
    row = model("nanosam")
    torch.manual_seed(5)
    first = starting_student(row, (), None, seed=0).state_dict()
    torch.manual_seed(6)
    again = starting_student(row, (), None, seed=0).state_dict()
    other = starting_student(row, (), None, seed=1).state_dict()
    assert all(torch.equal(again[key], value) for key, value in first.items())
    name = "encoder.backbone.layer1.0.conv1.weight"
    assert not torch.equal(other[name], first[name])


def test_a_feature_teacher_needs_its_weights_masks_and_stages(
    lite2: Path, coco: Path, student: Student
) -> None:
    device = torch.device("cpu")
    with pytest.raises(BadInput, match="needs its weights"):
        teacher_for("efficientnet-lite2", (), device=device, seed=0)
    teacher: Teacher = teacher_for("efficientnet-lite2", (str(lite2),), device=device, seed=0)
    unlabelled, labelled = read_data((), coco.parent / "images"), read_data((coco,), None)
    with pytest.raises(BadInput, match="annotations"):
        teacher.lesson(student, model("nanosam"), unlabelled, seed=0)
    assert BACKBONE_STAGES[-1] not in dict(student.encoder.named_modules())
    with pytest.raises(BadInput, match="cannot teach the encoder of MobileSAM"):
        teacher.lesson(student, model("mobilesam"), labelled, seed=0)


def test_held_out_photos_are_never_trained_on(coco: Path) -> None:
    data = read_data((coco,), None)
    assert len(data.train) == 3
    assert len(data.held_out) == 1
    assert [file.name for file in data.held_out_files] == ["0.png"]
    assert len(data.train_files) == 3
    train, held_out = split(tuple(range(30)))
    assert held_out == (0, 14, 28)
    assert sorted(train + held_out) == list(range(30))
    assert split((1,)) == ((1,), ())
