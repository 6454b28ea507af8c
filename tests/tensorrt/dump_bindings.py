"""Print what TensorRT's Python bindings offer, as JSON: run alone, one version a process.

Classes with their methods' signatures (from pybind's docstrings) and properties, and enumerations
with their values. `LD_LIBRARY_PATH` has to name libraries that the bindings accept.
"""

from __future__ import annotations

import json
import re
import sys
from types import ModuleType


def described(module: ModuleType) -> dict[str, object]:
    classes = {n: c for n, c in vars(module).items() if isinstance(c, type)}
    nested = {"Severity": module.ILogger.Severity}
    return {
        "version": module.__version__,
        "enums": {
            n: _values(c) for n, c in (classes | nested).items() if hasattr(c, "__members__")
        },
        "classes": {
            n: {member: _member(getattr(c, member)) for member in dir(c) if _public(member)}
            for n, c in classes.items()
            if not hasattr(c, "__members__")
        },
    }


def _public(name: str) -> bool:
    return not name.startswith("_") or name == "__init__"


def _values(enum: type) -> dict[str, int]:
    return {name: int(value) for name, value in enum.__members__.items()}


def _member(member: object) -> dict[str, object]:
    if isinstance(member, property):
        return {"property": True, "writable": member.fset is not None}
    signatures = re.findall(r"^(?:\d+\. )?\w+\((.*)\) ->", member.__doc__ or "", re.MULTILINE)
    return {"signatures": [text for text in signatures if text != "*args, **kwargs"]}


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import tensorrt_bindings

    json.dump(described(tensorrt_bindings), sys.stdout)
