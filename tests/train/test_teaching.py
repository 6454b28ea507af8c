"""Teachers: their maps and embeddings, the cache, and that a student learns from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import BadInput
from edgekit.models.encoders.resnet18 import ResNet18
from edgekit.models.registry import model
from edgekit.records import WeightsSource
from edgekit.train.data.annotations import AnnotatedPhoto
from edgekit.train.data.reading import read_data, split
from edgekit.train.stages import lesson as lesson_stage
from edgekit.train.stages.lesson import LessonStage
from edgekit.train.stages.starting import starting_student
from edgekit.train.stages.student import Student
from edgekit.train.teachers.choosing import Teacher, teacher_for
from edgekit.train.teachers.distillation import BACKBONE_STAGES, FeatureDistillation, stage_outputs
from edgekit.train.teachers.embeddings import EmbeddingTeacher
from edgekit.train.teachers.lessons import EmbeddingLesson, FeatureLesson
from edgekit.train.teachers.mobilenet_v2 import _STAGES, load_mobilenet_v2
from tests.train.conftest import TinyEncoder


def write_mobilenet(path: Path) -> Path:
    """Random weights of MobileNetV2's shapes."""
    shapes, width = [(32, 3, 3, 3)], 32
    for expansion, channels, blocks, _ in _STAGES:
        for _ in range(blocks):
            hidden = width * expansion
            shapes += [(hidden, width, 1, 1)] if expansion > 1 else []
            shapes += [(hidden, 1, 3, 3), (channels, hidden, 1, 1)]
            width = channels
    shapes += [(1280, width, 1, 1), (1001, 1280, 1, 1)]
    rng = np.random.default_rng(0)
    arrays = {}
    for index, shape in enumerate(shapes):
        scale = np.sqrt(2 / np.prod(shape[1:]))
        arrays[f"c{index}.w"] = (rng.standard_normal(shape) * scale).astype(np.float32)
        arrays[f"c{index}.b"] = np.zeros(shape[0], np.float32)
    assert len(shapes) == 53
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mobilenet(tmp_path_factory.mktemp("weights") / "mobilenet.npz")


def test_the_classifier_has_maps_at_four_strides(mobilenet: Path) -> None:
    teacher = load_mobilenet_v2(mobilenet)
    maps = teacher.features(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (24, 16, 24),
        (32, 8, 12),
        (96, 4, 6),
        (320, 2, 3),
    ]
    assert teacher(torch.zeros(1, 3, 64, 64)).shape == (1, 1001)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(BadInput, match=r"other\.npz"):
        load_mobilenet_v2(tmp_path / "other.npz")


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
    mobilenet: Path, photos: tuple[AnnotatedPhoto, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FeatureLesson, "_SIZES", ((2, 64),))
    monkeypatch.setattr(lesson_stage, "_WARMUP", 1)
    torch.manual_seed(0)
    encoder = Encoder()
    features = FeatureDistillation(load_mobilenet_v2(mobilenet), (64, 128, 256, 512))
    pixels = [photo.pixels for photo in photos]
    lesson = FeatureLesson(encoder, features, pixels[1:], held_out=pixels[:1], seed=0)
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

    def _compute(self, photo: Path, out: Path) -> None:
        from edgekit.runtime import load_photo

        Counting.computed += 1
        mean = load_photo(photo).mean() / 100
        np.save(out, np.full((256, 64, 64), mean, np.float16))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counting:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    Counting.computed = 0
    return another_teacher(seed=0)


def another_teacher(seed: int) -> Counting:
    source = WeightsSource(kind="seeded", licence="none", seed=seed)
    return Counting(model("mobilesam"), source, device="cpu")


def test_embeddings_are_computed_once_per_photo_and_weights(counting: Counting, coco: Path) -> None:
    files = read_data(coco, None).train_files
    for photo in (files[0], files[1], files[0]):
        assert counting.embedding(photo).shape == (256, 64, 64)
    assert counting.computed == 2
    another_teacher(seed=0).embedding(files[0])
    assert counting.computed == 2
    another_teacher(seed=1).embedding(files[0])
    assert counting.computed == 3


@pytest.mark.slow
def test_a_student_learns_embeddings(counting: Counting, coco: Path) -> None:
    data = read_data(coco, None)
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
    data = read_data(coco, None)
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
    embedding = teacher.embeddings.embedding(read_data(coco, None).train_files[0])
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
    mobilenet: Path, coco: Path, tmp_path: Path, student: Student
) -> None:
    device = torch.device("cpu")
    with pytest.raises(BadInput, match="needs its weights"):
        teacher_for("mobilenetv2", (), device=device, seed=0)
    teacher: Teacher = teacher_for("mobilenetv2", (str(mobilenet),), device=device, seed=0)
    unlabelled, labelled = read_data(None, coco.parent / "images"), read_data(coco, None)
    with pytest.raises(BadInput, match="annotations"):
        teacher.lesson(student, model("nanosam"), unlabelled, seed=0)
    assert BACKBONE_STAGES[-1] not in dict(student.encoder.named_modules())
    with pytest.raises(BadInput, match="cannot teach the encoder of MobileSAM"):
        teacher.lesson(student, model("mobilesam"), labelled, seed=0)


def test_held_out_photos_are_never_trained_on(coco: Path) -> None:
    data = read_data(coco, None)
    assert len(data.train) == 3
    assert [photo.name for photo in data.held_out] == ["0.png"]
    assert [file.name for file in data.held_out_files] == ["0.png"]
    assert len(data.train_files) == 3
    train, held_out = split(tuple(range(30)))
    assert held_out == (0, 14, 28)
    assert sorted(train + held_out) == list(range(30))
    assert split((1,)) == ((1,), ())
