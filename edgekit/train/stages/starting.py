"""The student before its first step."""

from __future__ import annotations

import numpy as np
import torch

from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import build, load
from edgekit.models.sam import SamDecoder
from edgekit.records import ModelRow, Role
from edgekit.train.data.batches import BatchSize, make_batch, normalised
from edgekit.train.data.reading import Data
from edgekit.train.stages.initial import (
    convolutions,
    pointing_decoder,
    position_table,
    quiet_residuals,
    unit_features,
)
from edgekit.train.stages.recipe import Phase
from edgekit.train.stages.student import Student
from edgekit.train.teachers.choosing import Teacher


def starting_student(
    row: ModelRow, init: tuple[str, ...], teacher: Teacher | None, *, seed: int
) -> Student:
    """From weights if `init` names some (as `--weights` does), else from nothing.

    A teacher of the registry hands its decoder over: the student's embeddings are to equal the
    teacher's, so what reads those reads these (arXiv 2306.14289).
    """
    if init:
        split = load(row, locate(row, init))
        assert isinstance(split.decoder, SamDecoder)
        return Student(split.encoder, split.decoder)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, decoder = build(row)
    assert isinstance(decoder, SamDecoder)
    pointing_decoder(decoder, generator)
    convolutions(encoder, generator)
    quiet_residuals(encoder)
    if teacher and teacher.embeddings:
        decoder.load_state_dict(teacher.embeddings.split().modules[Role.DECODER].state_dict())
    else:
        position_table(encoder, decoder)
    return Student(encoder, decoder)


def settle(student: Student, data: Data, phase: Phase, *, seed: int) -> None:
    """Bring a random neck to unit scale on what the stage with masks begins with."""
    if not student.takes_windows:
        return
    shape = BatchSize(size=256, windows=8, prompts=1)
    rng = np.random.default_rng([5, seed])
    batch = make_batch(data.train, rng, shape=shape, style=phase.style, mix=phase.mix)
    device = next(student.parameters()).device
    unit_features(student.encoder, normalised(batch.to(device)))
