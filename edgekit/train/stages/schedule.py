"""The phases of the stage with masks, from coarse frames to the frame as at inference.

Learning where a prompt points is slow and needs no detail. It comes first, on frames at a quarter
and at half of the resolution, which cost a sixteenth and a quarter. Photos are enlarged there, so
that small objects are seen too. Then frames at full resolution come in, fewer objects are pasted,
and the loss moves from balanced classes to the outline. The last phase uses whole frames with
frozen batch norm, as inference does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edgekit.train.data.batches import BatchSize
from edgekit.train.data.scenes import SceneStyle
from edgekit.train.stages.losses import LossMix

_FRAMES_PER_STEP = {1: 1, 2: 3, 4: 8}
"""Zoom -> frames that a step takes instead of one at full resolution."""
_PROMPTS = 6
_FRAMES = 16
"""Frames at full resolution that the rates of a refining run are for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of the stage, up to the fraction `until` of its steps.

    sizes: batch sizes with their probabilities. mix: the probabilities of `prompting.KINDS`.
    corrections: the share of steps with a second round. distil: the weight of the feature teacher.
    frozen_norm: use batch norm's running statistics, as inference does.
    """

    name: str
    until: float
    sizes: tuple[tuple[float, BatchSize], ...]
    style: SceneStyle
    loss: LossMix
    mix: tuple[float, float, float, float] = (0.45, 0.33, 0.12, 0.10)
    corrections: float = 0.0
    distil: float = 0.0
    frozen_norm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The whole stage with masks. Rates are AdamW's peaks; `backbone_rate` is the encoder
    backbone's. `average` is the decay of the weights' exponential average per step."""

    steps: int
    phases: tuple[Phase, ...]
    rate: float = 6e-4
    backbone_rate: float = 3e-4
    weight_decay: float = 0.02
    warmup: int = 100
    clip: float = 1.0
    average: float = 0.998

    def phase(self, step: int) -> Phase:
        """The phase of a step, counted from 0."""
        done = step / self.steps
        return next((p for p in self.phases if done < p.until), self.phases[-1])


def _sizes(frames: int, chances: dict[int, float]) -> tuple[tuple[float, BatchSize], ...]:
    """Batch sizes by zoom, of about the same cost per step."""
    return tuple(
        (chance, BatchSize(frames=frames * _FRAMES_PER_STEP[zoom], prompts=_PROMPTS, zoom=zoom))
        for zoom, chance in chances.items()
    )


def _new_phases(frames: int) -> tuple[Phase, ...]:
    """For a student that starts from random numbers."""
    return (
        Phase(
            name="point",
            until=0.2,
            sizes=_sizes(frames, {4: 1.0}),
            style=SceneStyle(whole=0.3, scale=(0.7, 4.0), pasted=0.7),
            loss=LossMix(balance=1.0),
            distil=0.3,
        ),
        Phase(
            name="coarse",
            until=0.6,
            sizes=_sizes(frames, {4: 0.6, 2: 0.4}),
            style=SceneStyle(whole=0.3, scale=(0.7, 3.0), pasted=0.6),
            loss=LossMix(balance=0.5),
            corrections=0.1,
            distil=0.15,
        ),
        Phase(
            name="fine",
            until=0.88,
            sizes=_sizes(frames, {4: 0.25, 2: 0.6, 1: 0.15}),
            style=SceneStyle(pasted=0.4),
            loss=LossMix(balance=0.15, gamma=1.0),
            corrections=0.2,
        ),
        _whole_phase(frames),
    )


def _refining_phases(frames: int) -> tuple[Phase, ...]:
    """For a student that is trained already: half resolution for objects, then the outlines."""
    return (
        Phase(
            name="coarse",
            until=0.45,
            sizes=_sizes(frames, {2: 0.67, 1: 0.33}),
            style=SceneStyle(whole=0.45, pasted=0.55),
            loss=LossMix(balance=0.1, gamma=1.0),
            corrections=0.33,
            distil=0.3,
        ),
        Phase(
            name="fine",
            until=0.85,
            sizes=_sizes(frames, {1: 1.0}),
            style=SceneStyle(whole=0.6, pasted=0.4),
            loss=LossMix(balance=0.0, gamma=1.0),
            corrections=0.33,
        ),
        _whole_phase(frames),
    )


def _whole_phase(frames: int) -> Phase:
    return Phase(
        name="frame",
        until=1.0,
        sizes=_sizes(frames, {2: 0.25, 1: 0.75}),
        style=SceneStyle(whole=0.75, pasted=0.3),
        loss=LossMix(balance=0.0, gamma=1.0),
        corrections=0.33,
        frozen_norm=True,
    )


def schedule_for(steps: int, *, frames: int, refines: bool, any_size: bool) -> Schedule:
    """The stage with masks.

    Args:
        steps: of the whole stage.
        frames: at full resolution per step; at lower resolution a step takes more of them.
        refines: whether the student was trained before. It learns at two thirds of the rates, which
            are for 16 frames: with fewer, at less, by the square root.
        any_size: whether its encoder takes frames of lower resolution (NanoSAM). If it does not
            (MobileSAM), the phases are the same, all at full resolution.
    """
    phases = (_refining_phases if refines else _new_phases)(frames)
    if not any_size:
        sizes = _sizes(frames, {1: 1.0})
        phases = tuple(replace(phase, sizes=sizes, distil=0.0) for phase in phases)
    if refines:
        # Adam's rate follows the root of the batch (arXiv 2205.10287). With one frame a step, 240
        # steps at the full rate made the bundled NanoSAM worse, and at a third of it better.
        small = min(1.0, math.sqrt(frames / _FRAMES))
        return Schedule(steps=steps, phases=phases, rate=4e-4 * small, backbone_rate=3e-4 * small)
    return Schedule(steps=steps, phases=phases)
