"""The ordered table of models. A new family is one file in `families/` and one line here.

The registry imports no torch, so that listing models and reporting a mistyped name are instant.
"""

from __future__ import annotations

import difflib

from edgekit.errors import UnknownName
from edgekit.models.families import (
    edgesam,
    edgetam,
    efficientsam,
    efficienttam,
    efficientvit_sam,
    esam,
    fastsam,
    fastsam3d,
    hqsam2,
    mobilesam,
    mobilesamv2,
    nanosam,
    rapsam,
    repvit_sam,
    rwkvsam,
    sam,
    sam2,
    sam_hq,
    samlightening,
    slimsam,
    squeezesam,
    supersam,
    tinysam,
)
from edgekit.records import ModelRow

_ROWS: tuple[ModelRow, ...] = (
    *nanosam.ROWS,
    *mobilesam.ROWS,
    *mobilesamv2.ROWS,
    *tinysam.ROWS,
    *sam.ROWS,
    *slimsam.ROWS,
    *supersam.ROWS,
    *samlightening.ROWS,
    *esam.ROWS,
    *edgesam.ROWS,
    *repvit_sam.ROWS,
    *efficientvit_sam.ROWS,
    *efficientsam.ROWS,
    *squeezesam.ROWS,
    *hqsam2.ROWS,
    *sam_hq.ROWS,
    *rwkvsam.ROWS,
    *sam2.ROWS,
    *edgetam.ROWS,
    *efficienttam.ROWS,
    *rapsam.ROWS,
    *fastsam.ROWS,
    *fastsam3d.ROWS,
)


def models() -> tuple[ModelRow, ...]:
    """All models, in the order in which they are listed."""
    return _ROWS


def model(name: str) -> ModelRow:
    """The row of the model with this name.

    Raises:
        UnknownName: no model has this name; the message suggests the nearest one.
    """
    rows = {row.name: row for row in _ROWS}
    if name in rows:
        return rows[name]
    near = difflib.get_close_matches(name, rows, n=3, cutoff=0.4)
    raise UnknownName(
        f"There is no model named {name!r}.",
        expected=f"one of {', '.join(rows)}",
        next_step=f"did you mean {near[0]!r}?" if near else "edgekit models",
    )
