"""The single prompts of a verification in brief: how their IoUs spread, and which is the worst."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgekit.matrix.pictures import is_picture
from edgekit.store import Malformed, record_from_json

_EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 1.0)
"""Narrower towards 1, where nearly all IoUs of a bundle that passes lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IouBin:
    """The number of prompts whose mask IoU is at least `low` and below `high`; 1 is in the last."""

    low: float
    high: float
    prompts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstPrompt:
    """The prompt with the lowest mask IoU. `kind` is one of `PromptKind`.

    `logit_error` is the largest difference of the low-res logits, None without logits.
    """

    photo: str
    kind: str
    iou: float
    logit_error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """What a result keeps of the single prompts."""

    bins: tuple[IouBin, ...]
    worst: WorstPrompt


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    photo: str
    trial: _Trial
    iou: float
    logit_error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """A part of `edgekit verify --json - --picture -`."""

    results: tuple[_Compared, ...] = ()
    closeup: str | None = None


def prompts_of(document: str) -> Prompts | None:
    """The prompts in the JSON of `edgekit verify`; None if there are none."""
    compared = _read(document).results
    if not compared:
        return None
    worst = min(compared, key=lambda each: each.iou)
    return Prompts(
        bins=_bins(each.iou for each in compared),
        worst=WorstPrompt(
            photo=worst.photo,
            kind=worst.trial.kind,
            iou=worst.iou,
            logit_error=worst.logit_error,
        ),
    )


def closeup_of(document: str) -> bytes | None:
    """The picture in the JSON of `edgekit verify`; None if there is none, or no sound one."""
    text = _read(document).closeup
    try:
        content = b64decode(text, validate=True) if text else b""
    except ValueError:
        return None
    return content if is_picture(content) else None


def _bins(ious: Iterable[float]) -> tuple[IouBin, ...]:
    counts, _ = np.histogram(list(ious), _EDGES)
    return tuple(
        IouBin(low=low, high=high, prompts=int(count))
        for low, high, count in zip(_EDGES, _EDGES[1:], counts, strict=False)
    )


def _read(document: str) -> _Document:
    try:
        return record_from_json(_Document, document.encode(), unknown_keys="ignore")
    except Malformed:
        return _Document()
