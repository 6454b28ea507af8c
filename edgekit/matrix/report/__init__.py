"""Renderings of an overview: a page, Markdown for a job's summary, JUnit XML and CSV."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import BadInput
from edgekit.matrix.differences import Difference
from edgekit.matrix.overview import Overview
from edgekit.matrix.report.csv_table import csv_from
from edgekit.matrix.report.junit import junit_from
from edgekit.matrix.report.markdown import markdown_from
from edgekit.matrix.report.page import page_from, require_jinja
from edgekit.store import write_atomic

__all__ = ["csv_from", "junit_from", "markdown_from", "page_from", "require_jinja", "write_report"]


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
        BadInput: the folder cannot be written.
        RuntimeMissing: jinja2 is not installed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"The folder {folder} cannot be made: {error.strerror}.",
            expected="a folder that can be written",
            next_step="name another with --report DIR",
        ) from error
    renderings = {
        "report.html": page_from(overview, changes, results=results),
        "summary.md": markdown_from(overview, changes),
        "junit.xml": junit_from(overview),
        "cells.csv": csv_from(overview),
    }
    for name, text in renderings.items():
        write_atomic(folder / name, text)
    return tuple(folder / name for name in renderings)
