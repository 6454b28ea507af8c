"""A device has neither PyTorch nor the export tools, and starts fast."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "onnx", "onnxscript", "onnxsim", "pydantic", "typer", "rich", "matplotlib")


def test_the_runtime_is_light() -> None:
    script = f"import sys, edgekit.runtime; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
