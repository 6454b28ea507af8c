"""Training computes in BF16 only where that is fast."""

from __future__ import annotations

import pytest
import torch

from edgekit.runtimes import cpu
from edgekit.train.stages.arithmetic import computes_in_bf16, step_autocast


@pytest.mark.parametrize(
    ("device", "features", "bf16"),
    [
        ("cuda", ("avx2",), True),
        ("cpu", ("avx2",), False),
        ("cpu", ("avx2", "avx512f", "avx512_vnni"), False),
        ("cpu", ("avx512f", "avx512_bf16"), True),
        ("cpu", ("asimddp", "bf16"), True),
        ("cpu", (), True),  # a system that does not list its CPU's features
    ],
)
def test_a_cpu_without_bf16_instructions_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch, device: str, features: tuple[str, ...], bf16: bool
) -> None:
    monkeypatch.setattr(cpu, "cpu_features", lambda: features)
    assert computes_in_bf16(torch.device(device)) is bf16


def test_a_step_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.ones(2, 2)
    for features, dtype in (("avx2",), torch.float32), (("avx512_bf16",), torch.bfloat16):
        monkeypatch.setattr(cpu, "cpu_features", lambda own=features: own)
        with step_autocast(torch.device("cpu")):
            assert (weight @ weight).dtype is dtype
