"""A target's compile options: its own, or the runtime's defaults."""

from __future__ import annotations

import re

from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import BadInput
from edgekit.records import Target

WORKSPACE = "workspace_mb"


def option(target: Target, name: str) -> str | None:
    """The value of a compile option; None if neither the target nor its runtime sets it."""
    return target.options.get(name, runtime_row(target.runtime).options.get(name))


def rising_numbers(target: Target, name: str, count: int) -> tuple[int, ...]:
    """The numbers in an option such as "1 4 64" (smallest, usual, largest).

    Raises:
        BadInput: the option is missing, or is not `count` whole numbers in rising order.
    """
    text = option(target, name) or ""
    numbers = [int(word) for word in text.split() if re.fullmatch("[1-9][0-9]{0,6}", word)]
    if len(numbers) != count or len(text.split()) != count or numbers != sorted(numbers):
        raise BadInput(
            f"Target {target.name}: options.{name} is {text!r}.",
            expected=f"{count} whole number(s) from 1 up, in rising order",
            next_step=f"set it in targets/{target.name}.toml",
        )
    return tuple(numbers)
