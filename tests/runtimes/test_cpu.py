"""Which instructions the CPU has, and what their absence means for a target."""

from __future__ import annotations

import pytest

from edgekit.catalog import target
from edgekit.runtime.opening import execution
from edgekit.runtimes import cpu


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch):
    """`flags(text)`: the CPU's flags, as /proc/cpuinfo lists them."""

    def set_flags(text: str) -> None:
        monkeypatch.setattr(cpu, "_cpu_info", lambda: {"flags": text})
        cpu.cpu_features.cache_clear()

    yield set_flags
    monkeypatch.undo()
    cpu.cpu_features.cache_clear()


def test_features_come_from_the_flags(flags) -> None:
    flags("sse avx2 avx512_vnni foo")
    assert cpu.cpu_features() == ("avx2", "avx512_vnni")


@pytest.mark.parametrize(
    ("name", "text", "native"),
    [
        ("x86-int8", "avx2", False),
        ("x86-int8", "avx2 avx_vnni", True),
        ("x86-int8", "avx2 avx512f amx_int8", True),
        ("x86-int8", "", True),  # unknown
        ("x86-ort-int8", "avx2 avx512f", False),
        ("x86-bf16", "avx2 avx512_vnni", False),
        ("x86-bf16", "avx512_bf16", True),
        ("x86-fp32", "avx2", True),
        ("android-int8", "avx2", True),
    ],
)
def test_a_cpu_without_the_targets_instructions_emulates_it(
    flags, name: str, text: str, native: bool
) -> None:
    flags(text)
    how = execution(target(name))
    if how.how == "not run":
        pytest.skip(how.reason)
    assert (how.label == "native") == native
    if not native:
        assert how.label.endswith(" on another CPU")
        assert f"none of {', '.join(target(name).cpu_features)}" in how.reason
