"""Reads the size of a pruned SAM ViT from the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgekit.errors import CheckpointMismatch
from edgekit.models.encoders.sam_vit import WINDOW, VitBlockSize, VitSize

Shapes = Mapping[str, tuple[int, ...]]

_PREFIX = "image_encoder."
_GRID = 64  # patches of 16 pixels along a photo of 1024
_BLOCK = re.compile(r"^image_encoder\.blocks\.(\d+)\.")


def size_from_shapes(shapes: Shapes, *, positions: int = _GRID) -> VitSize:
    """The size of the SAM ViT among these tensors, which have SAM's names.

    The width of a block's table of relative positions is the number of channels per head. The
    table's length tells whether the block sees a window (2 * 14 - 1 rows) or the whole map.

    Raises:
        CheckpointMismatch: the tensors hold no such encoder, or only a part of one.
    """
    depth = len({match[1] for match in map(_BLOCK.match, shapes) if match})
    try:
        _, grid, _, width = shapes[f"{_PREFIX}pos_embed"]
        _require_grid(shapes, depth, positions)
        return VitSize(
            width=width,
            grid=grid,
            blocks=tuple(_block(shapes, f"{_PREFIX}blocks.{i}.") for i in range(depth)),
            global_blocks=tuple(i for i in range(depth) if _is_global(shapes, i)),
        )
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointMismatch(
            f"The widths of a SAM ViT cannot be read from these tensors ({error}).",
            expected="image_encoder.pos_embed and image_encoder.blocks.0, 1, ... under SAM's names",
            next_step="edgekit detect FILE shows what the file holds",
        ) from error


def _require_grid(shapes: Shapes, depth: int, positions: int) -> None:
    """Raise CheckpointMismatch unless the tables are for `positions` a side."""
    grid = shapes[f"{_PREFIX}pos_embed"][1]
    if grid != positions:
        side = 16 * positions
        raise CheckpointMismatch(
            f"This SAM ViT was made for photos of {16 * grid} pixels.",
            expected=f"one for {side} pixels, with {positions} x {positions} positions",
            next_step=f"train at {side} pixels, with position tables as in the original checkpoint",
        )
    lengths = [shapes[f"{_PREFIX}blocks.{i}.attn.rel_pos_h"][0] for i in range(depth)]
    whole = 2 * positions - 1
    if not set(lengths) <= {2 * WINDOW - 1, whole} or whole not in lengths:
        raise CheckpointMismatch(
            "This SAM ViT has no block that sees the whole photo, or blocks with other windows.",
            expected=f"tables of {2 * WINDOW - 1} and {whole} relative positions",
            next_step="edgekit detect FILE shows what the file holds",
        )


def _block(shapes: Shapes, prefix: str) -> VitBlockSize:
    split = f"{prefix}attn.q.weight" in shapes
    head_dim = shapes[f"{prefix}attn.rel_pos_h"][1]
    inner = shapes[f"{prefix}attn.{'q' if split else 'qkv'}.weight"][0] // (1 if split else 3)
    heads = inner // head_dim
    return VitBlockSize(
        heads=heads,
        head_dim=head_dim,
        value_dim=shapes[f"{prefix}attn.proj.weight"][1] // heads,
        hidden=shapes[f"{prefix}mlp.lin1.weight"][0],
        split=split,
    )


def _is_global(shapes: Shapes, block: int) -> bool:
    return shapes[f"{_PREFIX}blocks.{block}.attn.rel_pos_h"][0] != 2 * WINDOW - 1
