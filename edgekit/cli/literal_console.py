"""A Rich console that shows text as it is: no markup, no emoji codes, no control characters.

Titles, warnings, names of tools, blocks and categories come from files of others. Without this, a
manifest could move the cursor, set the terminal's title, or end a table with "[/bold]".
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from edgekit.store import escaped


class LiteralConsole(Console):
    """Shows every string literally, in tables and titles too. Colours need a `Text`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a string: Rich calls this for whatever it prints that is not yet a `Text`."""
        return super().render_str(escaped(text), **{**options, "markup": False, "emoji": False})
