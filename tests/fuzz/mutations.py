"""Seeded damage of bytes and of JSON, and the judgement of what a command made of it."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

Change = Callable[[random.Random, bytes], bytes]

NUMBERS = (
    0,
    -1,
    1,
    2,
    7,
    255,
    65535,
    2**31 - 1,
    -(2**31),
    2**53,
    2**63,
    10**30,
    0.5,
    -1e308,
    1e308,
)
TEXTS = ("", "x", "\x1b[2J", "../..", "/etc/passwd", "a" * 5000, "\ud800", "[bold]", "\u202e", "%s")
SHAPES = (None, True, False, [], {}, [[]], [None], {"": None}, [1, 2, 3], "NaN")
TOKENS = (
    b"0" * 30,
    b"\0" * 8,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"-1",
    b"[" * 300,
    b"{",
    b'"',
    b"\n",
)


def damaged_bytes(chance: random.Random, content: bytes) -> bytes:
    """One to four local changes: bits, runs, pieces that move, repeat or go, an end cut off."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        if not data:
            return bytes(data)
        chance.choice(_LOCAL)(chance, data)
    return bytes(data)


def _flip(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice([1, 1, 3, 30])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(chance: random.Random, data: bytearray) -> None:
    token, at = chance.choice(TOKENS), chance.randrange(len(data))
    data[at : at + len(token)] = token


def _number(chance: random.Random, data: bytearray) -> None:
    """A length or an offset of a binary format."""
    size, at = chance.choice([2, 4, 8]), chance.randrange(len(data))
    value = chance.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, len(data), len(data) * 2])
    order: Any = chance.choice(["little", "big"])
    data[at : at + size] = (value % 256**size).to_bytes(size, order)


def _cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def _remove(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.choice([1, 4, 64])]


def _repeat(chance: random.Random, data: bytearray) -> None:
    at, to = chance.randrange(len(data)), chance.randrange(len(data))
    data[to:to] = data[at : at + chance.choice([1, 8, 100])]


_LOCAL = (_flip, _flip, _overwrite, _number, _number, _cut, _remove, _repeat)


def damaged_json(chance: random.Random, content: bytes) -> bytes:
    """A document with one to three places of another value, of another key, or nested deep."""
    if chance.random() < 0.2:
        return damaged_bytes(chance, content)
    document = json.loads(content)
    gentle = chance.random() < 0.5
    for _ in range(chance.randint(1, 3)):
        places = [*_places(document)]
        holder, key = chance.choice(places)
        if gentle:
            holder[key] = _alike(chance, holder[key], [h[k] for h, k in places])
        else:
            _change_place(chance, holder, key)
    text = json.dumps(document)
    if chance.random() < 0.05:
        text = text.replace("0", "[" * 20_000, 1)
    return text.encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    rows = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in rows:
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


def _alike(chance: random.Random, value: Any, others: list[Any]) -> Any:
    """Another value of the same type: such damage passes checks of types and fails later."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return type(value)(chance.choice([value + 1, value - 1, value * 2, value / 2, 0, 1, -1, 3]))
    if isinstance(value, str):
        return copy.deepcopy(chance.choice([v for v in others if isinstance(v, str)]))
    items = list(value.items() if isinstance(value, dict) else value)
    chance.shuffle(items)
    kept = copy.deepcopy(items[: chance.choice([0, 1, len(items), len(items)])])
    return dict(kept) if isinstance(value, dict) else kept


def _change_place(chance: random.Random, holder: Any, key: Any) -> None:
    try:
        action = chance.randrange(10)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, dict):
            holder[chance.choice(TEXTS) or "new"] = holder[key]
        elif action == 1:
            holder.append(holder[key])
        elif action == 2 and isinstance(holder[key], int | float):
            holder[key] = holder[key] * chance.choice([-1, 2, 10, 1000]) + chance.choice([0, 1, -1])
        else:
            holder[key] = chance.choice(chance.choice([NUMBERS, TEXTS, SHAPES, (holder[key],)]))
    except (KeyError, IndexError):  # an earlier change removed the place
        return


def damaged_toml(chance: random.Random, content: bytes) -> bytes:
    """A table with lines of other values, or damaged as bytes."""
    if chance.random() < 0.4:
        return damaged_bytes(chance, content)
    lines = content.decode().splitlines()
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        key = lines[at].partition("=")[0].strip() or "key"
        values = (
            "-1",
            "1e400",
            "nan",
            "9" * 40,
            '"\\u001b[2J"',
            "[[[[]]]]",
            "{a = {b = 1}}",
            "true",
        )
        lines[at] = chance.choice(
            (f"{key} = {chance.choice(values)}", f"[{key}]", f"{key} = {'[' * 5000}", "", "=")
        )
    return "\n".join(lines).encode()


def damaged_text(chance: random.Random, text: str) -> str:
    """A value of an option, with parts of other text or numbers."""
    parts = re.split("([,.])", text)
    for _ in range(chance.randint(1, 3)):
        new = str(chance.choice([*NUMBERS, *TEXTS[:-5], "nan", "inf", "-0", "1e999", "\u0661", ""]))
        parts[chance.randrange(len(parts))] = new
    return "".join(parts)
