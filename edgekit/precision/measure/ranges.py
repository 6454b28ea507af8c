"""The range of every node of a model on real photos, in one streamed pass over its programs.

The statistics of a node are six numbers, however many photos there are, so peak memory is that of
running the widest layer once. Extremes cover all values. Moments cover at most SAMPLED values of
each result, evenly spaced; with all of them, counting would take longer than running.

The decoder runs on the encoder's embeddings of the same photos, with the prompts of
`verification.prompts`: every kind that the family takes, one at a time. A refinement takes the
logits of the prompt that it refines.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from edgekit.catalog import Photo, PhotoSet
from edgekit.errors import BadInput
from edgekit.program.blocks import block_names
from edgekit.program.capture import Program
from edgekit.program.operators import maker
from edgekit.program.walk import Walk
from edgekit.records import Feeds, FloatArray, PhotoClient, Rgb, Role
from edgekit.runtime import Predictor
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from edgekit.verification.prompts import subjects_of, trials_for_subjects

SAMPLED = 2**15
"""Most values of one result that moments are computed from."""

OnPhoto = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The values of one node over all photos and prompts.

    `usual_low` and `usual_high` are the extremes of a single result, averaged over all results.
    """

    low: float
    high: float
    usual_low: float
    usual_high: float
    mean: float
    std: float

    @property
    def abs_max(self) -> float:
        """The largest magnitude."""
        return max(-self.low, self.high)

    @property
    def rms(self) -> float:
        """Root of the mean square."""
        return math.hypot(self.mean, self.std)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranges:
    """The ranges of one program by node name: its inputs, and all nodes that compute.

    A node that only moves numbers (a transpose, a slice) has the range of its input; use `of`.
    """

    role: Role
    by_name: Mapping[str, Range]

    def of(self, node: fx.Node) -> Range | None:
        """The range of a node's result; None for a weight."""
        return self.by_name.get(maker(node).name)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """Ranges of a model's programs, and the number of prompts that the decoder ran on."""

    encoder: Ranges
    decoder: Ranges | None
    prompts: int

    @property
    def by_role(self) -> dict[Role, Ranges]:
        """The ranges by role; a model without a decoder has the encoder's only."""
        decoder = {Role.DECODER: self.decoder} if self.decoder else {}
        return {Role.ENCODER: self.encoder} | decoder

    def ranges(self, role: Role) -> Ranges:
        """The ranges of one role."""
        return self.by_role[role]


def measure(
    encoder: Program,
    decoder: Program | None = None,
    *,
    photos: PhotoSet,
    client: PhotoClient,
    prompt_slots: tuple[int, ...] = (),
    on_photo: OnPhoto | None = None,
) -> Calibration:
    """Run the programs over the photos and record the range of each node.

    Args:
        encoder: as captured, in float32.
        decoder: None if its ranges are not needed. It gets one subject of each photo, in every
            kind of prompt; so does an encoder into whose image prompts are drawn.
        photos: to run on.
        client: the model's pre- and postprocessing.
        prompt_slots: the decoder's number of slots, if it is fixed.
        on_photo: called with the number of photos done and of all photos.

    Raises:
        BadInput: there is no photo, a photo cannot be read, or a node gives NaN or infinity.
    """
    if not photos.photos:
        raise BadInput(
            f"The image set '{photos.name}' has no photo to calibrate on.",
            expected="real photos: edgekit never calibrates on random data",
        )
    encoding, decoding = _MeasuringSession(encoder), _MeasuringSession(decoder) if decoder else None
    predictor = Predictor.from_sessions(client, encoding, decoding, prompt_slots=prompt_slots)
    prompts = 0
    for done, photo in enumerate(photos.photos, start=1):
        pixels = load_photo(photo.path)
        if decoding or client.drawing:
            predictor.set_image(pixels)
            prompts += _prompt(predictor, photo, pixels)
        else:
            encoding.run({"image": encoder_input(pixels, client.preprocessing)})
        if on_photo:
            on_photo(done, len(photos.photos))
    return Calibration(
        encoder=encoding.ranges(), decoder=decoding.ranges() if decoding else None, prompts=prompts
    )


def _prompt(predictor: Predictor, photo: Photo, pixels: Rgb) -> int:
    """Run every kind of prompt on one subject, and return the number of prompts.

    The choice of subject differs from photo to photo, so that large and small ones occur.
    """
    subjects = subjects_of(photo, height=pixels.shape[0], width=pixels.shape[1])
    chosen = subjects[zlib.crc32(photo.id.encode()) % len(subjects)]
    logits: list[FloatArray] = []
    for trial in trials_for_subjects((chosen,), seed=photo.id, refuses=predictor.client.refuses):
        prediction = predictor.predict(
            points=trial.points or None,
            labels=trial.labels or None,
            box=trial.box,
            mask=None if trial.mask_from is None else logits[trial.mask_from],
            multimask=trial.multimask,
        )
        logits.append(prediction.low_res_logits[0])
    return len(logits)


class _MeasuringSession:
    """A session over a program that records the range of every result."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._blocks = block_names(program)
        self._tallies: dict[str, _Tally] = {}
        self._walk = Walk(program, self._record)

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        return self._walk.run(feeds)

    def ranges(self) -> Ranges:
        named = {name: tally.range() for name, tally in self._tallies.items()}
        return Ranges(role=self._program.role, by_name=named)

    def _record(self, node: fx.Node, result: Tensor) -> Tensor:
        low, high = (float(edge) for edge in torch.aminmax(result))
        if not (math.isfinite(low) and math.isfinite(high)):
            block = self._blocks.get(node.name)
            raise BadInput(
                f"The {self._program.role}'s node {node.name}"
                + (f" (in {block})" if block else "")
                + " gives NaN or infinity in float32.",
                expected="finite values: other ranges say nothing about a precision",
                next_step="check the weights: edgekit verify the same model for x86-fp32",
            )
        self._tallies.setdefault(node.name, _Tally()).add(result, low, high)
        return result


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Extremes and moments of the results so far."""

    low: float = math.inf
    high: float = -math.inf
    lows: float = 0.0
    highs: float = 0.0
    results: int = 0
    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: Tensor, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.lows += low
        self.highs += high
        self.results += 1
        sample = _sample(values)
        self.count += sample.size
        self.total += float(sample.sum())
        self.squares += float(np.square(sample).sum())

    def range(self) -> Range:
        mean = self.total / self.count
        variance = max(self.squares / self.count - mean**2, 0.0)
        return Range(
            low=self.low,
            high=self.high,
            usual_low=self.lows / self.results,
            usual_high=self.highs / self.results,
            mean=mean,
            std=math.sqrt(variance),
        )


def _sample(values: Tensor) -> npt.NDArray[np.float64]:
    """Evenly spaced values. An odd step reaches every channel if sizes are powers of two."""
    step = max(1, values.numel() // SAMPLED) | 1
    return values.reshape(-1)[::step].double().numpy()


# --- on disk -------------------------------------------------------------------------------------

_FIELDS = tuple(field.name for field in fields(Range))


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write `<role>.ranges.npz` of each role, for `read_calibration`."""
    for role, ranges in calibration.by_role.items():
        by_name = ranges.by_name
        table = [[getattr(span, name) for name in _FIELDS] for span in by_name.values()]
        np.savez_compressed(
            folder / f"{role}.ranges.npz",
            names=np.array(list(by_name)),
            ranges=np.array(table),
            prompts=np.array(calibration.prompts),
        )


def read_calibration(folder: Path) -> Calibration:
    """Read what `write_calibration` wrote."""
    files = {role: folder / f"{role}.ranges.npz" for role in Role}
    stored = {role: np.load(file) for role, file in files.items() if file.is_file()}
    read = {role: _read(role, arrays) for role, arrays in stored.items()}
    return Calibration(
        encoder=read[Role.ENCODER],
        decoder=read.get(Role.DECODER),
        prompts=int(stored[Role.ENCODER]["prompts"]),
    )


def _read(role: Role, stored: Mapping[str, npt.NDArray[np.float64]]) -> Ranges:
    rows = zip(stored["names"], stored["ranges"].tolist(), strict=True)
    by_name = {str(name): Range(**dict(zip(_FIELDS, row, strict=True))) for name, row in rows}
    return Ranges(role=role, by_name=by_name)
