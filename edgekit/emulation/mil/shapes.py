"""Operators that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.emulation.mil.operands import Operands


def shape(given: Operands) -> Tensor:
    """The sizes of `x` as int32."""
    return torch.tensor(given.tensor("x").shape, dtype=torch.int32)


def reshape(given: Operands) -> Tensor:
    """Reshape; 0 copies the size of the axis at the same distance from the last, or gives 1."""
    x, sizes = given.tensor("x"), given.integers("shape")
    from_right = dict(zip(range(len(sizes) - 1, -1, -1), reversed(x.shape), strict=False))
    return x.reshape([size or from_right.get(axis, 1) for axis, size in enumerate(sizes)])


def transpose(given: Operands) -> Tensor:
    """Permute the axes to the order of `perm`."""
    return given.tensor("x").permute(given.integers("perm"))


def expand_dims(given: Operands) -> Tensor:
    """Insert axes of size 1; `axes` are positions in the result."""
    x, axes = given.tensor("x"), given.integers("axes")
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(given: Operands) -> Tensor:
    """Remove these axes of size 1, or all of them."""
    x = given.tensor("x")
    return x.squeeze(tuple(given.integers("axes"))) if "axes" in given else x.squeeze()


def concat(given: Operands) -> Tensor:
    """Concatenate along `axis`; with `interleave`, element by element in turn."""
    values, axis = given.tensors("values"), given.integer("axis")
    if not given.flag("interleave"):
        return torch.cat(values, dim=axis)
    return torch.stack(values, dim=axis % values[0].ndim + 1).flatten(axis, axis + 1)


def stack(given: Operands) -> Tensor:
    """Stack along a new axis."""
    return torch.stack(given.tensors("values"), dim=given.integer("axis"))


def split(given: Operands) -> tuple[Tensor, ...]:
    """Split into parts of the given sizes, or into equal parts."""
    x, axis = given.tensor("x"), given.integer("axis")
    if "split_sizes" in given:
        return torch.split(x, given.integers("split_sizes"), dim=axis)
    return torch.chunk(x, given.integer("num_splits"), dim=axis)


def tile(given: Operands) -> Tensor:
    """Repeat each axis `reps` times."""
    return given.tensor("x").repeat(given.integers("reps"))


def pad(given: Operands) -> Tensor:
    """Pad the last axes; `pad` is (before, after) per axis, outermost first."""
    x, mode = given.tensor("x"), given.text("mode", "constant")
    amounts = innermost_first(given.integers("pad"))
    if mode == "constant":
        return F.pad(x, amounts, value=given.number("constant_val", 0.0))
    while amounts[-2:] == [0, 0]:  # torch wants the padded axes only
        del amounts[-2:]
    return _with_batch(x, lambda y: F.pad(y, amounts, mode=mode), rank=len(amounts) // 2 + 2)


def innermost_first(pad: Sequence[int]) -> list[int]:
    """Reverse (before, after) pairs from MIL's order to torch's."""
    return [n for axis in range(len(pad) // 2 - 1, -1, -1) for n in pad[2 * axis : 2 * axis + 2]]


def _with_batch(x: Tensor, function: Callable[[Tensor], Tensor], *, rank: int) -> Tensor:
    """Apply a function of tensors of `rank`: missing axes are added, extra ones merged."""
    spare = x.ndim - rank
    if spare <= 0:
        result = function(x.reshape([1] * -spare + list(x.shape)))
        return result.reshape(result.shape[-spare:])
    result = function(x.flatten(0, spare))
    return result.reshape([*x.shape[: spare + 1], *result.shape[1:]])


def slice_by_index(given: Operands) -> Tensor:
    """x[begin:end:stride] per axis.

    Masks disable `begin` or `end` of an axis. `squeeze_mask` takes the single element at `begin`.
    """
    x = given.tensor("x")
    none, ones = [0] * x.ndim, [1] * x.ndim
    begin_mask, end_mask = given.integers("begin_mask", none), given.integers("end_mask", none)
    begin, end = given.integers("begin"), given.integers("end")
    stride, single = given.integers("stride", ones), given.integers("squeeze_mask", none)
    for axis, size in enumerate(x.shape):
        first = None if begin_mask[axis] else begin[axis]
        last = None if end_mask[axis] else end[axis]
        places = range(size)
        several = places[first : last : stride[axis]]
        x = _select(x, axis, [places[begin[axis]]] if single[axis] else several)
    return x.squeeze([axis for axis, one in enumerate(single) if one])


def slice_by_size(given: Operands) -> Tensor:
    """`size` elements from `begin` on per axis; -1 means all that remain."""
    x = given.tensor("x")
    for axis, (begin, size) in enumerate(
        zip(given.integers("begin"), given.integers("size"), strict=True)
    ):
        x = x.narrow(axis, begin, x.shape[axis] - begin if size == -1 else size)
    return x


def _select(x: Tensor, axis: int, places: Sequence[int]) -> Tensor:
    if places == range(x.shape[axis]):
        return x
    return x.index_select(axis, torch.tensor(list(places), dtype=torch.int64))


def gather(given: Operands) -> Tensor:
    """Slices of `x` along `axis` at `indices`, whose axes replace that axis.

    The first `batch_dims` axes of both are paired.
    """
    x, indices = given.tensor("x"), given.tensor("indices").long()
    axis = given.integer("axis", 0) % x.ndim
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    return _gathered(x, indices, axis, given.integer("batch_dims", 0))


def _gathered(x: Tensor, indices: Tensor, axis: int, batch_dims: int) -> Tensor:
    if batch_dims:
        pairs = zip(x, indices, strict=True)
        return torch.stack([_gathered(a, i, axis - 1, batch_dims - 1) for a, i in pairs])
    taken = x.index_select(axis, indices.flatten())
    return taken.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def gather_along_axis(given: Operands) -> Tensor:
    """One element of `x` along `axis` for each of `indices`."""
    x, indices, axis = given.tensor("x"), given.tensor("indices"), given.integer("axis", 0)
    sizes = list(indices.shape)
    sizes[axis] = x.shape[axis]
    return torch.gather(x.broadcast_to(sizes), axis, indices.long())


def pixel_shuffle(given: Operands) -> Tensor:
    """[B, C f^2, H, W] -> [B, C, H f, W f]: f^2 channels become f x f pixels of one channel."""
    return F.pixel_shuffle(given.tensor("x"), given.integer("upscale_factor"))


def fill(given: Operands) -> Tensor:
    """A tensor of the given shape with one value."""
    value = given.optional("value")
    if value is None:
        return torch.zeros(given.integers("shape"))
    return value.expand(given.integers("shape"))


SHAPES: dict[str, Callable[[Operands], Tensor | tuple[Tensor, ...]]] = {
    "concat": concat,
    "expand_dims": expand_dims,
    "fill": fill,
    "gather": gather,
    "gather_along_axis": gather_along_axis,
    "pad": pad,
    "pixel_shuffle": pixel_shuffle,
    "reshape": reshape,
    "shape": shape,
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "transpose": transpose,
}
