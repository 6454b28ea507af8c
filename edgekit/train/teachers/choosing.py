"""Who can teach: any model of the registry, and MobileNetV2 as a teacher of features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from edgekit import store
from edgekit.errors import BadInput
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import ModelRow
from edgekit.train.data.reading import Data
from edgekit.train.stages.student import Student
from edgekit.train.teachers.distillation import BACKBONE_STAGES, FeatureDistillation
from edgekit.train.teachers.embeddings import EmbeddingTeacher
from edgekit.train.teachers.lessons import EmbeddingLesson, FeatureLesson, Lesson
from edgekit.train.teachers.mobilenet_v2 import load_mobilenet_v2

FEATURE_TEACHER = "mobilenetv2"
_RESNET18_CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """One of the two kinds, with what a model card says about it."""

    about: str
    features: FeatureDistillation | None = None
    embeddings: EmbeddingTeacher | None = None

    def lesson(self, student: Student, row: ModelRow, data: Data, *, seed: int) -> Lesson:
        """What this teacher asks of the student's encoder.

        Raises:
            BadInput: a feature teacher without annotated photos, or for an encoder without the
                stages that it teaches.
        """
        if self.embeddings:
            return EmbeddingLesson(
                student.encoder,
                row.client.preprocessing,
                self.embeddings,
                data.train_files,
                held=data.held_files,
                seed=seed,
            )
        assert self.features
        if not data.train:
            raise BadInput(
                f"{FEATURE_TEACHER} teaches no more than the backbone; the rest needs masks.",
                expected="--annotations with it",
            )
        if BACKBONE_STAGES[-1] not in dict(student.encoder.named_modules()):
            raise BadInput(
                f"{FEATURE_TEACHER} cannot teach the encoder of {row.title}.",
                expected="a ResNet18 backbone, as NanoSAM's, or a teacher of the registry",
            )
        photos, held = ([p.pixels for p in part] for part in (data.train, data.held))
        return FeatureLesson(student.encoder, self.features, photos, held=held, seed=seed)


def teacher_for(name: str, weights: tuple[str, ...], *, device: torch.device, seed: int) -> Teacher:
    """The teacher of this name.

    Raises:
        UnknownName: it is neither in the registry nor "mobilenetv2".
        BadInput, WeightsUnavailable: its weights cannot be used or had.
    """
    if name == FEATURE_TEACHER:
        return _feature_teacher(weights, device=device, seed=seed)
    row = registry.model(name)
    source = locate(row, weights)
    files = ", ".join(f"{Path(f.path).name} (sha256 {f.sha256})" for f in source.files)
    weights_text = f"{files}, {source.licence}" if files else f"random, seed {source.seed}"
    about = f"{row.title}, image embeddings; weights {source.kind} ({weights_text})"
    embeddings = EmbeddingTeacher(row, source, device=device.type)
    return Teacher(about=about, embeddings=embeddings)


def _feature_teacher(weights: tuple[str, ...], *, device: torch.device, seed: int) -> Teacher:
    if len(weights) != 1:
        raise BadInput(
            f"--teacher {FEATURE_TEACHER} needs its weights.",
            expected="--teacher-weights FILE.npz, once",
        )
    path = Path(weights[0]).expanduser()
    teacher = load_mobilenet_v2(path).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = FeatureDistillation(teacher, _RESNET18_CHANNELS).to(device)
    digest = store.sha256_of(path)
    about = (
        f"MobileNetV2 1.0 (ImageNet), features at strides 4 to 32: {path.name} (sha256 {digest})"
    )
    return Teacher(about=about, features=features)
