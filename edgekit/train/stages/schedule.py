"""The phases of the stage with masks, from cheap windows to the whole frame.

Learning where a prompt points is slow and needs no detail. It comes first, on windows of 256 pixels
with synthetic shapes among the objects. Then windows grow, fewer objects are pasted, and the loss
moves from balanced classes to the outline. Whole frames at low resolution are included from the
start: a run without them segmented small objects well (box IoU 0.44) but large ones, whose boxes
are wider than any window, badly (0.25). The last phase uses whole frames with frozen batch norm, as
inference does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgekit.train.data.batches import BatchSize
from edgekit.train.data.scenes import SceneStyle
from edgekit.train.stages.losses import LossMix


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


_W256 = BatchSize(size=256, windows=8, prompts=6)
_W384 = BatchSize(size=384, windows=4, prompts=6)
_W512 = BatchSize(size=512, windows=2, prompts=6)
_QUARTER = BatchSize(size=256, windows=8, prompts=6, zoom=4)
_HALF = BatchSize(size=512, windows=3, prompts=6, zoom=2)
_FRAME = BatchSize(size=1024, windows=1, prompts=6)

_POINT = Phase(
    name="point",
    until=0.2,
    sizes=((0.6, _W256), (0.4, _QUARTER)),
    style=SceneStyle(pasted=0.7, shapes=1.0, stuff=0.1),
    loss=LossMix(balance=1.0),
    distil=0.3,
)
_SMALL = Phase(
    name="small",
    until=0.6,
    sizes=((0.4, _W256), (0.2, _W384), (0.25, _QUARTER), (0.15, _HALF)),
    style=SceneStyle(pasted=0.6, shapes=0.2),
    loss=LossMix(balance=0.5),
    distil=0.15,
    corrections=0.1,
)
_LARGE = Phase(
    name="large",
    until=0.88,
    sizes=((0.15, _W256), (0.2, _W384), (0.2, _W512), (0.1, _QUARTER), (0.35, _HALF)),
    style=SceneStyle(pasted=0.4),
    loss=LossMix(balance=0.15, gamma=1.0),
    corrections=0.2,
)
_WHOLE = Phase(
    name="frame",
    until=1.0,
    sizes=((0.15, _W512), (0.25, _HALF), (0.6, _FRAME)),
    style=SceneStyle(pasted=0.2, stuff=0.1),
    loss=LossMix(balance=0.0, gamma=1.0),
    corrections=0.15,
    frozen_norm=True,
)
_PHASES = (_POINT, _SMALL, _LARGE, _WHOLE)

_BOXES = (0.5, 0.27, 0.1, 0.13)
_MORE_BOXES = (0.57, 0.2, 0.1, 0.13)
_COARSE = Phase(
    name="coarse",
    until=0.4,
    sizes=((0.1, _W256), (0.15, _W384), (0.1, _W512), (0.3, _QUARTER), (0.35, _HALF)),
    style=SceneStyle(pasted=0.5),
    loss=LossMix(balance=0.3, gamma=0.5),
    mix=_BOXES,
    corrections=0.1,
)
_FINE = Phase(
    name="fine",
    until=0.85,
    sizes=(
        (0.25, _W256),
        (0.2, _W384),
        (0.15, _W512),
        (0.1, _QUARTER),
        (0.2, _HALF),
        (0.1, _FRAME),
    ),
    style=SceneStyle(pasted=0.5),
    loss=LossMix(balance=0.15, gamma=1.0),
    mix=_MORE_BOXES,
    corrections=0.1,
)
_REFINING = (_COARSE, _FINE, replace(_WHOLE, mix=_MORE_BOXES))
"""For a student that is already trained: coarse whole frames for large objects, then windows for
the majority, which are of medium size; with more boxes than for a new student."""


def windows_schedule(steps: int, *, refines: bool = False) -> Schedule:
    """For encoders that take windows (NanoSAM): small windows, larger windows, the whole frame.

    `refines` is for a student that was trained before; it uses two thirds of the rates.
    """
    if refines:
        return Schedule(steps=steps, phases=_REFINING, rate=4e-4, backbone_rate=2e-4)
    return Schedule(steps=steps, phases=_PHASES)


def frames_schedule(steps: int) -> Schedule:
    """For encoders that take whole frames only (MobileSAM): the same phases, all at full size."""
    phases = (replace(phase, sizes=((1.0, _FRAME),), distil=0.0) for phase in _PHASES)
    return Schedule(steps=steps, phases=tuple(phases))
