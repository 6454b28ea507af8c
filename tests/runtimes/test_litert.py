"""Which of the two packages runs a file, and what a verdict may say of it."""

from __future__ import annotations

import pytest

from edgekit.catalog import target
from edgekit.records import NATIVE
from edgekit.runtimes.litert import execution, probe

NEW, OLD = "ai-edge-litert", "tflite-runtime"


@pytest.mark.parametrize(
    ("installed", "expected"),
    [((NEW, OLD), NEW), ((NEW,), NEW), ((OLD,), OLD), ((), NEW)],
)
def test_the_old_package_is_taken_where_the_new_one_is_not_there(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], expected: str
) -> None:
    modules = {package.replace("-", "_") for package in installed}
    monkeypatch.setattr(
        "edgekit.runtimes.installed.find_spec", lambda name: name in modules or None
    )
    monkeypatch.setattr("edgekit.runtimes.installed.version", lambda package: package)
    found = probe()
    assert found.available == bool(installed)
    assert (found.version if installed else found.reason) == (
        expected if installed else f"package {expected} is not installed"
    )


def test_float16_on_a_cpu_is_a_stand_in() -> None:
    assert execution(target("android-fp32")) == NATIVE
    assert execution(target("android-int8")) == NATIVE
    halved = execution(target("android-fp16"))
    assert halved.how == "emulated"
    assert halved.label.startswith("emulated by ai-edge-litert ")
    assert halved.reason
    assert "float32" in halved.reason
