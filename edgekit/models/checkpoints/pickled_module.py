"""Tensors out of a pickled module, without its code.

Some projects publish `torch.save(model)`: SlimSAM's globally pruned models, FastSAM, Q-TinySAM.
Such a file names classes that reading it would import and call. Here every name but the few that
make a tensor stands for `Inert`, a class that only remembers the state it is given; the tensors are
then collected from what `nn.Module` keeps in that state. Nothing of the file is imported or run.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# What torch.save writes for a tensor or a Parameter. Storages are torch.load's own affair.
_TENSOR_MAKERS = {
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}


class Inert:
    """Stands for any object of the file: takes what pickle gives it, and does nothing."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        self.state: Mapping[str, object] = {}

    def __new__(cls, *_args: object, **_kwargs: object) -> Inert:
        """Whatever arguments the file has for its own class."""
        made = super().__new__(cls)
        made.state = {}
        return made

    def __setstate__(self, state: object) -> None:
        """Keep the attributes; (dict, slots) is how objects with slots are pickled."""
        if isinstance(state, tuple) and state:
            state = state[0]
        self.state = state if isinstance(state, Mapping) else {}

    def __call__(self, *_args: object, **_kwargs: object) -> Inert:
        """An object that the file calls, such as a partial function."""
        return Inert()

    def __setitem__(self, _key: object, _value: object) -> None:
        """A dict of a class of its own."""

    def append(self, _value: object) -> None:
        """A list of a class of its own."""

    def extend(self, _values: object) -> None:
        """A list of a class of its own."""

    def add(self, _value: object) -> None:
        """A set of a class of its own."""


class TensorUnpickler(pickle.Unpickler):
    """An unpickler for which the world consists of tensors and `Inert`."""

    def find_class(self, module: str, name: str) -> Any:
        """What a name of the file stands for."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in _TENSOR_MAKERS:
            import torch._utils

            return getattr(torch._utils, name)
        return Inert


def read_pickled(path: Path) -> object:
    """The content of a file, with `Inert` in the place of every object that is no tensor.

    Only the zip format of torch 1.6 and later is read: for the older ones, and for TorchScript
    archives, torch.load has code paths that know nothing of a restricted unpickler.

    Raises:
        pickle.UnpicklingError: the format is another one.
        Exception: of many kinds, if the file is damaged.
    """
    import torch

    if not zipfile.is_zipfile(path):
        raise pickle.UnpicklingError("not in torch's zip format")
    with zipfile.ZipFile(path) as archive:
        if any(name.endswith("constants.pkl") for name in archive.namelist()):
            raise pickle.UnpicklingError("a TorchScript archive")
    content: object = torch.load(
        path, map_location="cpu", weights_only=False, pickle_module=_restricted_pickle()
    )
    return content


def tensors_of(content: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """(dotted name, tensor) of a module, or of a dict that holds one among other things."""
    import torch

    if isinstance(content, torch.Tensor):
        yield prefix.rstrip("."), content
    elif isinstance(content, Inert):
        for kind in ("_parameters", "_buffers", "_modules"):
            yield from tensors_of(content.state.get(kind), prefix)
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from tensors_of(value, f"{prefix}{name}.")


def _restricted_pickle() -> ModuleType:
    """What torch.load takes for the `pickle` module."""
    restricted = ModuleType("edgekit_restricted_pickle")
    restricted.Unpickler = TensorUnpickler  # type: ignore[attr-defined]
    return restricted
