"""Renderings of an overview: a page, Markdown for a job's summary, JUnit XML and CSV."""

from __future__ import annotations

from pathlib import Path

from edgekit.matrix.differences import Difference
from edgekit.matrix.overview import Overview
from edgekit.matrix.report.csv_table import csv_from
from edgekit.matrix.report.junit import junit_from
from edgekit.matrix.report.markdown import markdown_from
from edgekit.matrix.report.page import page_from, require_jinja
from edgekit.store import require_writable_folder, write_atomic

__all__ = ["csv_from", "junit_from", "markdown_from", "page_from", "require_report", "write_report"]


def require_report(folder: Path) -> None:
    """Find out before the first cell runs whether a report can be made and written.

    Raises:
        BadInput: the folder cannot be made or written.
        RuntimeMissing: jinja2 is not installed.
    """
    require_jinja()
    require_writable_folder(folder, advice="name another with --report DIR")


def write_report(
    folder: Path,
    overview: Overview,
    changes: tuple[Difference, ...] | None,
    *,
    results: Path | None = None,
) -> tuple[Path, ...]:
    """Write all renderings into a folder, which is made if it is not there.

    Args:
        folder: gets report.html, summary.md, junit.xml and cells.csv.
        overview: what is rendered.
        changes: since earlier results; None if there were none to compare with.
        results: the folder with the pictures of the worst prompts; None shows none.

    Raises:
        BadInput, RuntimeMissing: as `require_report`.
    """
    require_report(folder)
    renderings = {
        "report.html": page_from(overview, changes, results=results),
        "summary.md": markdown_from(overview, changes),
        "junit.xml": junit_from(overview),
        "cells.csv": csv_from(overview),
    }
    for name, text in renderings.items():
        write_atomic(folder / name, text)
    return tuple(folder / name for name in renderings)
