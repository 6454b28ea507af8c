"""Bounds what unpickling can cost, before anything is unpickled.

A dict's key is hashed, and Python hashes a tuple by walking it in C: ten thousand tuples in one
another overflow the stack and end the process, and forty that each hold the one before twice never
end. A memo index of 2**31 takes 32 GB. So the opcodes are read first. `pickletools` gives what each
takes from the stack, and only tuples and frozen sets, which can be keys, are measured.
"""

from __future__ import annotations

import pickletools
import tarfile
import zipfile
from pathlib import Path
from typing import IO, NamedTuple

from edgekit.errors import CheckpointMismatch

_DEEPEST = 50  # a tensor's arguments are 3 deep
_MOST_WORK = 1_500_000  # RepViT-SAM with a second copy and Adam's state takes 460,000
_LEGACY_PICKLES = 5  # magic number, protocol, system, content, names of the storages

_TUPLES = frozenset(("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"))
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))


class _Size(NamedTuple):
    """How deep a tuple is, and how many objects hashing it visits."""

    depth: int
    objects: int


_OTHER = _Size(0, 1)


class Unbounded(Exception):
    """The pickle would cost more than its size explains."""


def require_bounded_pickles(path: Path, *, zipped: bool) -> None:
    """Raise CheckpointMismatch if a PyTorch file's pickles would cost more than any model's do.

    Args:
        path: of a zip archive of torch.save, or of a file in the format before torch 1.6.
        zipped: which of the two it is.

    Raises:
        CheckpointMismatch: as said, or the file is a tar archive, as torch wrote before 0.2.
        Exception: the file is damaged; the type depends on where reading fails.
    """
    if not zipped and tarfile.is_tarfile(path):
        raise CheckpointMismatch(
            f"{path.name} is a tar archive.",
            expected="a state dict, torch.save(model.state_dict(), ...)",
            next_step="unpack it, and give the checkpoint in it",
        )
    try:
        _scan_archive(path) if zipped else _scan_legacy(path)
    except Unbounded as error:
        raise CheckpointMismatch(
            f"{path.name} is nested beyond any model: {error}.",
            expected="a state dict, torch.save(model.state_dict(), ...)",
        ) from error


def _scan_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith("data.pkl"):
                with archive.open(member) as pickled:
                    scan(pickled)


def _scan_legacy(path: Path) -> None:
    with path.open("rb") as file:
        for _ in range(_LEGACY_PICKLES):
            scan(file)


def scan(pickled: IO[bytes]) -> None:
    """Read one pickle's opcodes to its end.

    Raises:
        Unbounded: it nests tuples without measure, or takes too many steps.
        Exception: it is damaged.
    """
    stack: list[_Size | None] = []  # None is a mark
    memo: dict[int, _Size] = {}
    work = 0
    for opcode, argument, _ in pickletools.genops(pickled):
        work += 1
        if opcode.name in _PUTS:
            index = len(memo) if argument is None else int(str(argument))
            if index > work:  # the memo is an array up to this index
                raise Unbounded("its memo has gaps")
            memo[index] = _top(stack)
        elif opcode.name in _GETS:
            stack.append(memo[int(str(argument))])
        else:
            work += _step(opcode, stack)
        if work > _MOST_WORK:
            raise Unbounded("parts hold parts without end")


def _step(opcode: pickletools.OpcodeInfo, stack: list[_Size | None]) -> int:
    """Take an opcode's operands off the stack and put its result there; returns the work."""
    if opcode.name == "MARK":
        stack.append(None)
        return 0
    taken = _taken(opcode, stack)
    objects = sum(size.objects for size in taken)
    if opcode.name in _TUPLES:
        made = _Size(1 + max((size.depth for size in taken), default=0), 1 + objects)
        if made.depth > _DEEPEST:
            raise Unbounded(f"tuples lie in tuples, more than {_DEEPEST} deep")
        stack.append(made)
    elif opcode.name == "DUP":
        stack.extend(2 * taken)
    else:
        stack.extend(_OTHER for _ in opcode.stack_after)
    return objects


def _taken(opcode: pickletools.OpcodeInfo, stack: list[_Size | None]) -> list[_Size]:
    before = opcode.stack_before
    taken: list[_Size] = []
    count = len(before)
    if pickletools.markobject in before:
        while (size := stack.pop()) is not None:
            taken.append(size)
        count = before.index(pickletools.markobject)
    if opcode.name == "POP" and stack and stack[-1] is None:
        stack.pop()
        return taken
    return [*taken, *(_popped(stack) for _ in range(count))]


def _popped(stack: list[_Size | None]) -> _Size:
    size = _top(stack)
    stack.pop()
    return size


def _top(stack: list[_Size | None]) -> _Size:
    size = stack[-1]
    if size is None:
        raise ValueError("an opcode takes a mark for an object")
    return size
