"""The file of a proposal network: JSON, with each tensor as base64 of its float16 numbers.

A device reads it without a package that it lacks, and there is nothing in it to run or to unpack:
sizes are known before a byte is decoded. It has about 65 KB.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy as np

from edgekit.errors import BadInput
from edgekit.records import FloatArray
from edgekit.runtime.proposals.network import SHAPES, ProposalNetwork
from edgekit.store import (
    Malformed,
    printable,
    record_from_json,
    user_path,
    utf8_of,
    write_atomic,
)

SCHEMA = 1
MOST_BYTES = 2**20
_EXPECTED = "the file that `edgekit train MODEL --proposals` wrote"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    schema: int
    model: str
    weights: tuple[str, ...]
    licence: str
    tensors: dict[str, str]


def write_proposals(path: Path, network: ProposalNetwork, *, licence: str) -> None:
    """Write a network, its numbers as float16.

    Raises:
        BadInput: a number is not finite in float16.
    """
    with np.errstate(over="ignore"):  # the check below tells
        halves = {name: network.tensors[name].astype("<f2") for name in SHAPES}
    if not all(np.isfinite(half).all() for half in halves.values()):
        raise BadInput(
            "The proposal network has numbers that are not finite in float16: training diverged.",
            expected="finite weights",
            next_step="train again with another --out and another --seed",
        )
    record = _Record(
        schema=SCHEMA,
        model=network.model,
        weights=network.weights,
        licence=licence,
        tensors={name: base64.b64encode(half.tobytes()).decode() for name, half in halves.items()},
    )
    write_atomic(path, json.dumps(asdict(record), indent=1) + "\n")


def read_proposals(path: Path) -> ProposalNetwork:
    """Read a network. The file is not trusted.

    Raises:
        BadInput: the file cannot be read, is no proposal network, or holds numbers that are not
            finite.
    """
    path = user_path(path)
    try:
        record = record_from_json(_Record, utf8_of(path, most_bytes=MOST_BYTES))
        if record.schema != SCHEMA:
            raise Malformed((f"its schema is {record.schema}, not {SCHEMA}",))
        tensors = _tensors(record.tensors)
    except Malformed as error:
        name = printable(str(path))
        raise BadInput(f"{name} holds no proposal network: {error}.", expected=_EXPECTED) from error
    except OSError as error:
        name = printable(str(path))
        raise BadInput(f"{name} cannot be read: {error.strerror}.", expected=_EXPECTED) from error
    return ProposalNetwork(model=record.model, weights=record.weights, tensors=tensors)


def _tensors(encoded: Mapping[str, str]) -> dict[str, FloatArray]:
    if different := sorted(encoded.keys() ^ SHAPES.keys()):
        raise Malformed((f"missing or unknown tensors: {', '.join(different)}",))
    return {name: _tensor(name, encoded[name]) for name in SHAPES}


def _tensor(name: str, encoded: str) -> FloatArray:
    shape = SHAPES[name]
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed((f"{name}: {error}",)) from error
    if len(content) != 2 * prod(shape):
        raise Malformed((f"{name}: {len(content)} bytes, and not {2 * prod(shape)}",))
    tensor: FloatArray = np.frombuffer(content, "<f2").reshape(shape).astype(np.float32)
    if not np.isfinite(tensor).all():
        raise Malformed((f"{name}: a number is not finite",))
    return tensor
