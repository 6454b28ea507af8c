"""`enum.StrEnum`, also on Python 3.10 (JetPack 6 has 3.10), which lacks it."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:
    from enum import Enum

    class StrEnum(str, Enum):
        """Members are strings: `str()` and formatting give the value."""

        __str__ = str.__str__


__all__ = ["StrEnum"]
