"""An export tells of a licence that restricts the use, whatever the weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import pipeline
from edgekit.errors import NotYet

pytest.importorskip("torch", reason="exporting needs the extra `export`")


def test_a_licence_that_restricts_the_use_is_told_before_the_work(
    tmp_path: Path, report, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise NotYet("stopped here", expected="", next_step="")

    monkeypatch.setattr(pipeline, "make_plan", stop)
    request = pipeline.ExportRequest(
        model="edgesam", target="x86-ort-fp32", weights=("seeded",), out=tmp_path
    )
    with pytest.raises(NotYet, match="stopped here"):
        pipeline.export(request, report=report)
    assert any("non-commercial" in warning for warning in report.warnings)
