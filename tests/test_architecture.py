"""The architecture as a test: layers, and what may be imported where."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edgekit"
HEAVY = {
    # models: definitions; emulation: to evaluate Core ML's programs; benchmark: to time PyTorch.
    "torch": {
        "models",
        "program",
        "graph",
        "precision",
        "lowering",
        "train",
        "emulation",
        "benchmark",
    },
    "onnx": {"models", "graph", "lowering", "emulation"},
    "onnxsim": {"graph"},
    "onnxruntime": {"runtimes"},
    "openvino": {"runtimes", "lowering", "benchmark"},  # benchmark: for the machine's peak
    "tensorrt": {"runtimes"},
    "typer": {"cli"},
    "rich": {"cli"},
    "jinja2": {"matrix"},
    "distributed": {"matrix"},
    "pooch": {"store"},
    "pydantic": {"store", "catalog"},
}


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text())))


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    nodes = nodes_of(path)
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}
    return frozenset(name.partition(".")[0] for name in names)


@pytest.mark.parametrize("package", HEAVY)
def test_heavy_packages_stay_where_they_belong(package: str) -> None:
    users = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if package in imports_of(path)
    }
    assert users, f"nobody imports {package}: drop the row"
    assert users <= HEAVY[package]


def test_only_the_command_line_prints() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] == "cli":
            continue
        calls = [n for n in nodes_of(path) if isinstance(n, ast.Call)]
        printing = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
        assert not printing, f"{path}: only edgekit.cli prints"


def test_every_module_imports_alone_without_heavy_packages() -> None:
    """What a device runs: no torch, no onnx, no pydantic at import."""
    code = (
        "import sys, edgekit.runtime, edgekit.runtimes, edgekit.verification, edgekit.catalog\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'pydantic', 'typer', 'pycocotools'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_top_level_is_the_users() -> None:
    root = PACKAGE.parent
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    if not any(listed):
        pytest.skip("not a git checkout")
    visible = {name.partition("/")[0] for name in listed if name and not name.startswith(".")}
    assert visible == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "edgekit",
        "targets",
        "calibration",
        "tests",
        "examples",
    }
