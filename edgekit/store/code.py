"""A digest of the code behind a cached result: a result must not outlive the code that made it."""

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

    Imports count wherever they stand: at the top, in a function, under `TYPE_CHECKING`. TOML tables
    beside a package count with it. A module that is named in a string must be given here.

    Args:
        modules: full names, such as "edgekit.stages.graphs".

    Raises:
        ValueError: no name, or one that cannot be found.
    """
    if not modules:
        raise ValueError("name at least one module")
    return content_key(*(f"{file.name} {sha256_of(file)}" for file in reached(*modules)))


def reached(*modules: str) -> list[Path]:
    """The source files that these modules can reach by importing, their own among them, sorted."""
    files: set[Path] = set()
    waiting = [_source(module) or _elsewhere(module) for module in modules]
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files.add(file)
        if file.name == "__init__.py":
            files.update(file.parent.glob("*.toml"))
        waiting += [found for name in _imported(file) if (found := _source(name))]
    return sorted(files)


def _source(module: str) -> Path | None:
    """The file of a module; None for what is no module, or is the package `edgekit` itself.

    The package's own file only hands on names: counted, it would make everything reach everything.
    """
    if module == "edgekit":
        return None
    place = _ROOT.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _elsewhere(module: str) -> Path:
    """The file of a module that is not in edgekit's folder: a model family of the user's own."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise ValueError(f"there is no module {module!r}")
    return Path(found.origin)


@cache
def _imported(file: Path) -> tuple[str, ...]:
    return tuple(sorted(set(_names(ast.parse(file.read_bytes())))))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # What is imported from a package may be one of its modules.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
