"""The student before its first step: its architecture and its initial weights."""

from __future__ import annotations

import torch

from edgekit.models.checkpoints.fit import build, load
from edgekit.models.sam import SamDecoder
from edgekit.records import ModelRow, Role, WeightsSource
from edgekit.train.data.batches import BatchSize, encoder_input, make_batch
from edgekit.train.data.canvases import Canvases
from edgekit.train.data.random_numbers import Purpose, generator_for
from edgekit.train.stages.initial import (
    damp_residuals,
    initialise_convolutions,
    initialise_decoder,
    initialise_positions,
    scale_features,
)
from edgekit.train.stages.schedule import Phase
from edgekit.train.stages.student import Student
from edgekit.train.teachers.choosing import Teacher


def starting_student(
    row: ModelRow, init: WeightsSource | None, teacher: Teacher | None, *, seed: int
) -> Student:
    """Load the student from the weights in `init`, or initialise it.

    A teacher from the registry passes its decoder on: the student's embeddings are to equal the
    teacher's, so the decoder that reads those reads these (arXiv 2306.14289).

    Args:
        row: a model that passed `require_trainable`.
        init: weights to start from.
        teacher: of the first stage.
        seed: of the random initialisation.

    Raises:
        CheckpointMismatch: the weights do not fit the model.
    """
    if init:
        split = load(row, init)
        assert isinstance(split.decoder, SamDecoder)  # see require_trainable
        return Student(split.encoder, split.decoder)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, decoder = build(row)
    assert isinstance(decoder, SamDecoder)  # see require_trainable
    initialise_decoder(decoder, generator)
    initialise_convolutions(encoder, generator)
    damp_residuals(encoder)
    if teacher and teacher.embeddings:
        decoder.load_state_dict(teacher.embeddings.split().modules[Role.DECODER].state_dict())
    else:
        initialise_positions(encoder, decoder)
    return Student(encoder, decoder)


def scale_neck(student: Student, photos: Canvases, phase: Phase, *, seed: int) -> None:
    """Bring a random neck to unit scale on what the stage with masks begins with.

    Encoders that take frames at full resolution only are left as they are.
    """
    if not student.takes_any_size:
        return
    shape = BatchSize(frames=8, prompts=1, zoom=4)
    generator = generator_for(Purpose.NECK, seed, device=photos.rgb.device)
    batch = make_batch(photos, generator, shape=shape, style=phase.style, mix=phase.mix)
    scale_features(student.encoder, encoder_input(batch))
