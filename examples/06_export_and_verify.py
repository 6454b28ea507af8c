"""Export a model and verify the bundle on your own photos, from Python.

    python examples/06_export_and_verify.py nanosam x86-fp32 photos/

A fourth argument names weights, as for `edgekit export --weights`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit import ExportRequest, VerifyRequest, export, verify


class Log:
    """An `edgekit.Report` that prints; without one, the library says nothing."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Print how long a stage took."""
        start = time.monotonic()
        yield
        print(f"{name}: {time.monotonic() - start:.1f} s")

    def progress(self, done: int, total: int | None) -> None:
        """Steps within a stage: too fine for this program."""

    def warning(self, text: str) -> None:
        """Print what the user must not overlook."""
        print(f"warning: {text}")


def main(model: str, target: str, photos: str, *weights: str) -> None:
    """Make dist/MODEL-TARGET, then compare its masks with PyTorch's."""
    request = ExportRequest(model=model, target=target, weights=weights, verify=False)
    bundle = export(request, report=Log()).bundle
    verdict = verify(VerifyRequest(bundle=bundle.path, photos=Path(photos)), report=Log())
    if not verdict.passed:
        sys.exit("\n".join(verdict.failures))
    print(f"{bundle.path} passed ({verdict.how}), mean IoU {verdict.overall.mean_iou:.4f}")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(*sys.argv[1:])
