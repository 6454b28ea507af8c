"""A step of training computes on one device alone, so that a GPU waits for nothing.

There is no GPU in CI. The meta device has no numbers either, but refuses tensors of another device.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.fit import load
from edgekit.train.data.canvases import MASK_SIDE, SIDE, Canvases
from edgekit.train.stages import masks
from edgekit.train.stages.schedule import schedule_for
from edgekit.train.stages.student import Student

META = torch.device("meta")
PHOTOS, MASKS = 20, 60
STEPS = 100
DRAWS = ("rand", "randn", "randint", "multinomial")


def without_generator(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Draw without a generator where it is one of the meta device, of which there are none."""

    def drawn(*args: object, generator: object = None, **options: object) -> Tensor:
        known = {"generator": generator} if isinstance(generator, torch.Generator) else {}
        return draw(*args, **known, **options)

    return drawn


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> masks.MaskStage:
    for name in DRAWS:
        monkeypatch.setattr(torch, name, without_generator(getattr(torch, name)))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    row = registry.model("nanosam")
    split = load(row, locate(row, ("seeded",)))
    photos = Canvases(
        rgb=torch.zeros(PHOTOS, SIDE, SIDE, 3, dtype=torch.uint8),
        extents=torch.ones(PHOTOS, 2),
        masks=torch.zeros(MASKS, MASK_SIDE, MASK_SIDE, dtype=torch.uint8),
        starts=torch.arange(0, MASKS + 1, MASKS // PHOTOS),
        shares=torch.arange(MASKS + 1, dtype=torch.float64),
        pasted=torch.arange(MASKS),
    ).to(META)
    student = Student(split.encoder, split.decoder).to(META)
    schedule = schedule_for(STEPS, frames=2, refines=False, any_size=True)
    return masks.MaskStage(student, schedule, photos, held_out=photos, seed=0)


@pytest.mark.parametrize("step", [0, STEPS // 2, STEPS - 1])
def test_a_step_has_the_photos_device_throughout(stage: masks.MaskStage, step: int) -> None:
    phase = replace(stage._schedule.phase(step), corrections=1.0)
    choices, generator = torch.Generator(), SimpleNamespace(device=META)
    for _, size in phase.sizes:
        batch = masks.make_batch(
            stage._photos, generator, shape=size, style=phase.style, mix=phase.mix
        )
        stage._loss(batch, phase, choices, generator).backward()
    assert {parameter.grad.device for parameter in stage.student.decoder.parameters()} == {META}


def test_the_meta_device_refuses_others() -> None:
    with pytest.raises(RuntimeError, match="meta"):
        torch.zeros(3, device=META) + torch.zeros(3)
