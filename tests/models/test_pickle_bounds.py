"""A pickle is read or refused in one sentence, however its content is keyed, nested or tied."""

from __future__ import annotations

import collections
import io
import pickle
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.errors import CheckpointMismatch
from edgekit.models.checkpoints import pickle_bounds

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")

STATE = {
    "image_encoder.neck.0.weight": torch.ones(2),
    "mask_decoder.iou_token.weight": torch.ones(1),
}
NAME = b"X\x01\x00\x00\x00k"
UNKNOWN = (
    b"csome.package\nThing\n"  # a class that the file names, so that the safe loader refuses it
)
ORDERED = b"ccollections\nOrderedDict\n)R"

# Hashing a tuple in 200,000 others would overflow the stack. Others are walked in Python.
DEEPEST = {"tuple": 200_000, "frozenset": 200_000, "list": 20_000, "dict": 20_000}


def write(path: Path, body: bytes, *, zipped: bool) -> Path:
    """A PyTorch file with this pickle, in torch's zip format or in the one before it."""
    pickled = b"\x80\x04" + body + b"."
    if not zipped:
        head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
        path.write_bytes(head + pickled + pickle.dumps([], 2))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
    return path


def read(path: Path) -> dict:
    from edgekit.models.checkpoints.read import read_tensors

    return read_tensors(path)


def doubled(times: int) -> bytes:
    """A tuple of two that are the same tuple of two that are the same, and so on."""
    return b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(times))


def nested(kind: str, depth: int) -> bytes:
    return {
        "tuple": b")" + b"\x85" * depth,
        "list": b"]" * (depth + 1) + b"a" * depth,
        "dict": b"}" + (NAME + b"}") * depth + b"s" * depth,
        "frozenset": b"(" * depth + b"\x91" * depth,
    }[kind]


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "the whole": lambda thing: thing,
    "a value": lambda thing: b"}" + NAME + thing + b"s",
    "a key": lambda thing: b"}" + thing + NAME + b"s",
    "a key of an OrderedDict": lambda thing: ORDERED + thing + NAME + b"s",
    "a key beside an object": lambda thing: (
        b"}" + UNKNOWN + b")R" + NAME + b"s" + thing + NAME + b"s"
    ),
    "an argument": lambda thing: UNKNOWN + thing + b"\x85R",
    "a state": lambda thing: UNKNOWN + b")R" + thing + b"b",
    "in a set": lambda thing: b"cbuiltins\nset\n]" + thing + b"a\x85R",
}


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", DEEPEST)
@pytest.mark.parametrize("place", PLACES)
def test_depth_without_measure_is_refused(
    kind: str, place: str, zipped: bool, tmp_path: Path
) -> None:
    for depth in (60, DEEPEST[kind]):
        path = write(tmp_path / "deep.pt", PLACES[place](nested(kind, depth)), zipped=zipped)
        with pytest.raises(CheckpointMismatch, match=r"deep\.pt (is|holds)"):
            read(path)


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "body",
    [
        *(place(doubled(49)) for place in PLACES.values()),
        b"}" + b"(" + b"K\x01" * 5_000 + b"tq\x01" + NAME + b"s" + (b"h\x01" + NAME + b"s") * 5_000,
        b"}" + UNKNOWN + b")R" + NAME + b"s" + b"r\xff\xff\xff\x7f",
        b"N0" * 50_000 + b"N",
    ],
    ids=[*PLACES, "a long key set often", "a memo with a gap", "steps without end"],
)
def test_work_without_measure_is_refused(
    body: bytes, zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickle_bounds, "_MOST_WORK", 75_000)
    start = time.monotonic()
    with pytest.raises(CheckpointMismatch, match="nested beyond any model"):
        read(write(tmp_path / "work.pt", body, zipped=zipped))
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "body",
    [
        b"]q\x00h\x00a",
        b"}q\x00" + NAME + b"h\x00s",
        b"}q\x00" + NAME + b"]h\x00as",
        ORDERED + b"q\x00" + NAME + b"h\x00s",
        UNKNOWN + b")Rq\x00" + NAME + b"h\x00s",
        UNKNOWN + b")Rq\x00}" + NAME + b"h\x00sb",
        UNKNOWN + b")Rq\x00}X\x08\x00\x00\x00_modules}" + NAME + b"h\x00ssb",
        UNKNOWN + b"q\x00" + b"h\x00" * 5000 + b")" + b"R\x85" * 40,
        b"}" + ORDERED + NAME + b"s",
        b"(" * 100_000,
        b"\x85",
        b"h\x07",
        b"\x8e\xff\xff\xff\xff\x00\x00\x00\x00",
        b"\x8b\xa0\x86\x01\x00" + b"\x7f" * 100_000,
    ],
)
def test_recursive_and_broken_content_is_refused(body: bytes, zipped: bool, tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match=r"odd\.pt (is|holds)"):
        read(write(tmp_path / "odd.pt", body, zipped=zipped))


class Attributes(dict):
    """A trainer's own dict, such as an EasyDict."""


class OwnOrder(collections.OrderedDict):
    """A subclass with an order."""


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "content",
    [
        {"model": STATE, (1, ("a", (2,))): 3, 4: "x", b"bytes": 5, None: 6, 1.5: 7, True: 8},
        {"model": STATE, "rng": (3, tuple(range(625)), None)},
        {"model": STATE, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
        {"model": collections.OrderedDict(STATE), frozenset((1, 2)): 3},
        {"model": collections.defaultdict(list, STATE)},
        {"model": Attributes(STATE)},
        Attributes(model=Attributes(STATE), epoch=3),
        OwnOrder(STATE),
        {"model": STATE, 0: {"w": torch.ones(1)}, b"w": torch.ones(1), ("w",): torch.ones(1)},
    ],
)
def test_keys_of_any_kind_do_not_hide_the_weights(
    content: object, legacy: bool, tmp_path: Path
) -> None:
    plain = isinstance(content, dict) and type(content.get("model")) is dict
    if legacy and not plain:
        pytest.skip("objects are read from torch's zip format only")
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    assert read(tmp_path / "a.pt").keys() == STATE.keys()


@pytest.mark.parametrize(
    "content",
    [[], 3, None, {}, {b"w": torch.ones(1)}, {0: torch.ones(1)}, {(0, 1): torch.ones(1)}, [STATE]],
)
def test_a_file_without_names_is_said_to_have_none(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointMismatch, match=r"a\.pt holds no tensors under names"):
        read(tmp_path / "a.pt")


def test_a_tar_archive_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "old.pth", "w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    with pytest.raises(CheckpointMismatch, match="tar archive"):
        read(tmp_path / "old.pth")
