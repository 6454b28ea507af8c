"""Which file gave which tensors of a model, in a few lines for the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from edgekit.models.checkpoints.compare import Comparison
from edgekit.records import Origin, Role

if TYPE_CHECKING:
    from collections.abc import Collection


def origins(
    comparison: Comparison,
    names: Mapping[Role, Collection[str]],
    indices: Sequence[tuple[int, ...]],
) -> tuple[Origin, ...]:
    """What each file gave to each graph; files that gave nothing to a graph are left out.

    Args:
        comparison: of the files with the model.
        names: of each graph's tensors.
        indices: for each file of the comparison, which of the source's files it is: several for
            the shards of one model.
    """
    return tuple(_origins(comparison, names, indices))


def _origins(
    comparison: Comparison,
    names: Mapping[Role, Collection[str]],
    indices: Sequence[tuple[int, ...]],
) -> Iterator[Origin]:
    for index, files in enumerate(indices):
        for role, own in names.items():
            given = [n for n in own if n in comparison.taken and comparison.taken[n][0] == index]
            if given:
                yield Origin(
                    files=files,
                    role=role,
                    tensors=len(given),
                    prefixes=tuple(sorted({_prefix(name) for name in given})),
                )


def _prefix(name: str) -> str:
    """`mask_decoder.` for `mask_decoder.iou_token.weight`; a name without a dot is whole."""
    first, dot, _ = name.partition(".")
    return first + dot
