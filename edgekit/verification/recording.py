"""Answers of the PyTorch reference in a file, for devices without PyTorch.

A recording is a .zip of arrays and an index. An answer is found by the pixels of its photo and by
its prompt, so one that belongs to another photo, or to other prompts, is never compared.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgekit.catalog import Photo, PhotoSet
from edgekit.errors import BadInput
from edgekit.records import (
    BoolArray,
    ClientContract,
    MaskChoice,
    PhotoClient,
    Rgb,
    RunLengths,
    WeightsSource,
    mask_from_runs,
    runs_from_mask,
)
from edgekit.runtime import Prediction
from edgekit.runtime.mask_choice import Multimask
from edgekit.runtime.photo import load_photo
from edgekit.store import Malformed, record_from_json
from edgekit.verification.answers import FoundObject, Reference, answers_to, ask, trials_on
from edgekit.verification.near_ties import contenders
from edgekit.verification.prompts import subjects_of

Number = TypeVar("Number", bound=np.generic)

SCHEMA = 1
"""The index's version. A reader refuses others instead of guessing."""

_INDEX = "index.json"
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, OSError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedObject:
    """An object that a detector found, with its score."""

    runs: RunLengths
    predicted_iou: float

    @property
    def mask(self) -> BoolArray:
        """The mask at the photo's size, bool [H, W]."""
        return mask_from_runs(self.runs, *self.runs.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a recording holds.

    `weights` are those that the reference ran with. `answers` has, for each photo and prompt, the
    shape [M, H, W] of its masks; the arrays are entries of the archive. `objects` are what a
    detector found in each photo.
    """

    model: str
    weights: WeightsSource
    answers: dict[str, tuple[int, int, int]]
    objects: dict[str, tuple[RecordedObject, ...]]
    schema: int = SCHEMA


def record(
    path: Path,
    reference: Reference,
    photos: PhotoSet,
    *,
    model: str,
    weights: WeightsSource,
    on_photo: Callable[[int, int], None] | None = None,
) -> None:
    """Write what `verify_predictors` may ask the reference about the photos.

    Args:
        path: the file to write.
        reference: a model and its `weights`.
        photos: those that will be verified.
        model: the model's name.
        weights: where they came from, as in a manifest.
        on_photo: called with (done, total) after each photo.

    Raises:
        BadInput: a photo cannot be read, or the file cannot be written.
    """
    try:
        with zipfile.ZipFile(path, "w") as archive:
            recorder = Recorder(reference, archive)
            for done, photo in enumerate(photos.photos, start=1):
                _answer_all(recorder, photo)
                if on_photo:
                    on_photo(done, len(photos.photos))
            index = Index(
                model=model, weights=weights, answers=recorder.answers, objects=recorder.objects
            )
            archive.writestr(_INDEX, json.dumps(asdict(index)))
    except OSError as error:
        raise BadInput(
            f"The recording {path} cannot be written: {error.strerror}.",
            expected="a file name in an existing folder",
        ) from error


def _answer_all(recorder: Recorder, photo: Photo) -> None:
    """Ask all prompts, and for all masks that the choice of one could have fallen on."""
    pixels = load_photo(photo.path)
    recorder.set_image(pixels)
    subjects = subjects_of(photo, height=pixels.shape[0], width=pixels.shape[1])
    trials = trials_on(photo, subjects, recorder)
    answers = answers_to(trials, recorder)
    if not isinstance(recorder.client, ClientContract):
        return
    options = contenders(recorder.client.masks.single)
    for trial in trials:
        if options.masks and not trial.multimask:
            ask(recorder, trial, answers, options)


class Recorder:
    """A reference whose answers are written to an archive as they are given."""

    def __init__(self, reference: Reference, archive: zipfile.ZipFile) -> None:
        self.answers: dict[str, tuple[int, int, int]] = {}
        self.objects: dict[str, tuple[RecordedObject, ...]] = {}
        self._reference, self._archive, self._photo = reference, archive, ""

    @property
    def client(self) -> PhotoClient:
        """The reference's rules."""
        return self._reference.client

    @property
    def photo_size(self) -> tuple[int, int]:
        """(height, width) of the photo in pixels."""
        return self._reference.photo_size

    def set_image(self, photo: Rgb) -> None:
        """Set the photo, uint8 [H, W, 3]."""
        self._photo = _digest(photo)
        self._reference.set_image(photo)

    def predict(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        box: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        multimask: Multimask = False,
    ) -> Prediction:
        """The reference's answer, which is recorded."""
        answer = self._reference.predict(points, labels, box=box, mask=mask, multimask=multimask)
        key = _key(self._photo, points, labels, box, mask, multimask)
        if key not in self.answers:
            self.answers[key] = answer.masks.shape
            place = len(self.answers) - 1
            self._write(f"{place}/masks", np.packbits(answer.masks), zipfile.ZIP_DEFLATED)
            self._write(f"{place}/scores", answer.scores)
            self._write(f"{place}/logits", answer.low_res_logits)
        return answer

    def everything(self) -> Sequence[FoundObject]:
        """All objects of the photo, which are recorded."""
        found = self._reference.everything()
        self.objects[self._photo] = tuple(
            RecordedObject(runs=runs_from_mask(each.mask), predicted_iou=each.predicted_iou)
            for each in found
        )
        return found

    def _write(
        self, name: str, array: npt.NDArray[np.generic], method: int = zipfile.ZIP_STORED
    ) -> None:
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        self._archive.writestr(name, content.getvalue(), compress_type=method)


class Recording:
    """A recorded reference. `index` says what it holds."""

    def __init__(self, path: Path, client_of: Callable[[Index], PhotoClient]) -> None:
        """Open a recording.

        Args:
            path: a file written by `record`.
            client_of: the rules of the model in the index.

        Raises:
            BadInput: there is no such file, or it is no recording.
        """
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
            self.index = record_from_json(Index, self._archive.read(_INDEX))
        except (*_DAMAGED, Malformed) as error:
            raise self._unreadable(error) from error
        if self.index.schema != SCHEMA:
            raise self._unreadable(f"its schema is {self.index.schema}, not {SCHEMA}")
        self._places = {key: place for place, key in enumerate(self.index.answers)}
        self.client = client_of(self.index)
        self.photo_size = (0, 0)
        self._photo = ""

    def set_image(self, photo: Rgb) -> None:
        """Set the photo, uint8 [H, W, 3]."""
        self._photo, self.photo_size = _digest(photo), (photo.shape[0], photo.shape[1])

    def predict(
        self,
        points: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        *,
        box: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        multimask: Multimask = False,
    ) -> Prediction:
        """The recorded answer.

        Raises:
            BadInput: there is none for this photo or prompt, or the file is damaged.
        """
        key = _key(self._photo, points, labels, box, mask, multimask)
        if key not in self._places:
            raise self._missing()
        place, shape = self._places[key], self.index.answers[key]
        bits = np.unpackbits(self._read(f"{place}/masks", np.uint8), count=math.prod(shape))
        return Prediction(
            bits.reshape(shape).astype(np.bool_),
            self._read(f"{place}/scores", np.float32),
            self._read(f"{place}/logits", np.float32),
        )

    def everything(self) -> Sequence[FoundObject]:
        """All objects of the photo.

        Raises:
            BadInput: they were not recorded.
        """
        if self._photo not in self.index.objects:
            raise self._missing()
        return self.index.objects[self._photo]

    def _read(self, name: str, kind: type[Number]) -> npt.NDArray[Number]:
        try:
            content = io.BytesIO(self._archive.read(name))
            return np.asarray(np.load(content, allow_pickle=False), dtype=kind)
        except _DAMAGED as error:
            raise self._unreadable(error) from error

    def _missing(self) -> BadInput:
        return BadInput(
            f"The recording {self._path} has no answer for a photo or prompt.",
            expected="a recording of the same photos, decoded to the same pixels, by this edgekit",
            next_step="record it again where PyTorch is: edgekit record BUNDLE --out FILE",
        )

    def _unreadable(self, problem: object) -> BadInput:
        return BadInput(
            f"The recording {self._path} cannot be read: {problem}",
            expected="a file written by `edgekit record` of this version",
        )


def _digest(pixels: Rgb) -> str:
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def _key(photo: str, *prompt: object) -> str:
    """The photo's digest and the prompt as text. Of a mask, only whether there is one: it is the
    reference's own, so the other parts tell which."""
    points, labels, box, mask, multimask = prompt
    choice = asdict(multimask) if isinstance(multimask, MaskChoice) else multimask
    return f"{photo} {json.dumps([points, labels, box, mask is not None, choice])}"
