"""Numbers in a target's options: within which limits an engine is built."""

from __future__ import annotations

import re

from edgekit.errors import BadInput
from edgekit.records import Target

WORKSPACE = "workspace_mb"


def rising_numbers(target: Target, option: str, count: int) -> tuple[int, ...]:
    """The numbers of an option, such as "1 4 64": smallest, usual and largest.

    Raises:
        BadInput: it is missing, or not so many whole numbers in rising order.
    """
    text = target.options.get(option, "")
    numbers = [int(word) for word in text.split() if re.fullmatch("[1-9][0-9]{0,6}", word)]
    if len(numbers) != count or len(text.split()) != count or numbers != sorted(numbers):
        raise BadInput(
            f"Target {target.name}: options.{option} is {text!r}.",
            expected=f"{count} whole number(s) from 1 up, in rising order",
            next_step=f"set it in targets/{target.name}.toml",
        )
    return tuple(numbers)
