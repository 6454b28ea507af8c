"""Extracts the tensors of a pickled module without running its code.

Some projects publish `torch.save(model)`: SlimSAM's globally pruned models, FastSAM, Q-TinySAM.
Unpickling such a file imports and calls the classes that it names. Here every name stands for
`Inert`, except the few that make a tensor. `Inert` only stores the state that it is given, in which
`nn.Module` keeps its tensors, and a dict's named items; `flatten` collects the tensors from there.
Nothing that the file names is imported or run.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

# The functions that torch.save writes for a tensor or a Parameter. torch.load makes the storages.
_TENSOR_MAKERS = {
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}


class Inert:
    """Stands for any object of the file: accepts whatever pickle passes, and does nothing."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        self.state: Mapping[str, object] = {}
        self.named: dict[str, object] = {}

    def __new__(cls, *_args: object, **_kwargs: object) -> Inert:
        """Accept the arguments that the file has for its own class."""
        inert = super().__new__(cls)
        inert.state, inert.named = {}, {}
        return inert

    def __setstate__(self, state: object) -> None:
        """Keep the attributes; objects with slots are pickled as (dict, slots)."""
        if isinstance(state, tuple) and state:
            state = state[0]
        self.state = state if isinstance(state, Mapping) else {}

    def __call__(self, *_args: object, **_kwargs: object) -> Inert:
        """Stand for the result of a call, such as that of a partial function."""
        return Inert()

    def __setitem__(self, key: object, value: object) -> None:
        """Keep the named items of a subclass of dict: trainers save state dicts in such."""
        if isinstance(key, str):
            self.named[key] = value

    def append(self, _value: object) -> None:
        """Ignore the items of a subclass of list."""

    def extend(self, _values: object) -> None:
        """Ignore the items of a subclass of list."""

    def add(self, _value: object) -> None:
        """Ignore the items of a subclass of set."""


class TensorUnpickler(pickle.Unpickler):
    """An unpickler that makes only tensors and `Inert` objects."""

    def find_class(self, module: str, name: str) -> Any:
        """The object that a name in the file stands for."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if name == "set" and module in ("builtins", "__builtin__"):
            return set  # of the buffers that a module does not save
        if (module, name) in _TENSOR_MAKERS:
            import torch._utils

            return getattr(torch._utils, name)
        return Inert


def read_pickled(path: Path) -> object:
    """The content of a file, with `Inert` in place of every object that is not a tensor.

    Only the zip format of torch 1.6 and later is read. For older formats and for TorchScript
    archives, torch.load has code paths that bypass a restricted unpickler.

    Raises:
        pickle.UnpicklingError: the file has another format.
        Exception: the file is damaged; the type depends on where reading fails.
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


def _restricted_pickle() -> ModuleType:
    """A module for torch.load to use in place of `pickle`."""
    restricted = ModuleType("edgekit_restricted_pickle")
    restricted.Unpickler = TensorUnpickler  # type: ignore[attr-defined]
    return restricted
