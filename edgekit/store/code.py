"""Digests of code for cache keys: a cached result must not outlive the code that made it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from edgekit.store.digests import content_key, sha256_of

_ROOT = Path(__file__).resolve().parents[2]


def code_digest(*modules: str) -> str:
    """A digest of every source file of edgekit that these modules can reach by importing.

    Imports count wherever they are: at the top, in a function, or under `TYPE_CHECKING`. TOML files
    beside a package count as part of it. A module that code imports by a string must be named here.

    Args:
        modules: full names, such as "edgekit.stages.graphs".

    Raises:
        ValueError: there is no name, or no module of that name.
    """
    if not modules:
        raise ValueError("name at least one module")
    return content_key(*(f"{file.name} {sha256_of(file)}" for file in reachable_files(*modules)))


def reachable_files(*modules: str) -> list[Path]:
    """The source files of these modules and of all that they can reach by importing, sorted."""
    files: set[Path] = set()
    waiting = [_source(module) or _foreign_source(module) for module in modules]
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files.add(file)
        if file.name == "__init__.py":
            files.update(file.parent.glob("*.toml"))
        waiting += _imported(file)
    return sorted(files)


def _source(module: str) -> Path | None:
    """The file of a module of edgekit; None for other names, and for the package `edgekit` itself.

    The package's `__init__` only re-exports names. If it counted, every module would reach all.
    """
    if not module.startswith("edgekit."):
        return None
    place = _ROOT.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _foreign_source(module: str) -> Path:
    """The file of a module outside edgekit, such as a user's own model family."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module!r}")
    return Path(spec.origin)


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    """The files of edgekit's modules that a file imports."""
    names = set(_names(ast.parse(file.read_bytes())))
    return tuple(filter(None, map(_source, sorted(names))))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # `from package import name` may import a module.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not isinstance(node, ast.expr):  # no expression holds a statement
            yield from _names(node)
