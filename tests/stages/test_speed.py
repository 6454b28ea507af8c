"""INT8 that is slower than float does not ship unnoticed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.catalog import target
from edgekit.errors import GraphRejected
from edgekit.models.registry import model
from edgekit.program.programs import Programs
from edgekit.records import NATIVE, Artifact, Execution, Role, TensorSpec, WeightsSource
from edgekit.stages import speed
from edgekit.stages.artifacts import RuntimeFiles


class Taking:
    """A session that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(self, _):
        time.sleep(self.seconds)
        return {}


def encoder(seconds: float) -> Artifact:
    image = TensorSpec(name="image", dtype="float32", shape=(1, 3, 8, 8))
    return Artifact(
        role=Role.ENCODER,
        format="onnx",
        entry=str(seconds),
        files=(),
        inputs=(image,),
        outputs=(),
        ops={},
    )


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch):
    """`timed(int8, fp32)`: judge encoders that take so many seconds."""

    def judge(int8: float, fp32: float, *, execution: Execution = NATIVE, profile="x86-int8"):
        monkeypatch.setattr(speed, "execution", lambda _: execution)
        # The entry of an artifact says how long a run takes.
        monkeypatch.setattr(speed, "open_artifact", lambda a, *_, **__: Taking(float(a.entry)))
        monkeypatch.setattr(speed, "_float_encoder", lambda *_: (Path(), encoder(fp32)))
        files = RuntimeFiles(folder=Path(), artifacts=(encoder(int8),))
        programs = Programs(model("nanosam"), WeightsSource(kind="seeded", licence="none"), ())
        speed.require_faster(programs, profile, files)

    return judge


def test_faster_int8_passes(timed) -> None:
    timed(0.001, 0.005, profile=target("x86-int8"))


def test_slower_int8_is_refused_with_both_times(timed) -> None:
    with pytest.raises(
        GraphRejected, match=r"takes \d+ ms on this machine.* float one \d+ ms"
    ) as e:
        timed(0.006, 0.001, profile=target("x86-int8"))
    assert "--force" in str(e.value)


def test_what_cannot_be_timed_here_is_not_refused(timed) -> None:
    emulated = Execution(how="emulated", reason="no GPU")
    timed(0.006, 0.001, execution=emulated, profile=target("jetson-int8"))


def test_an_encoder_that_stays_float_is_not_timed(timed) -> None:
    profile = target("x86-int8")
    decoder_only = replace(profile, int8=replace(profile.int8, roles=(Role.DECODER,)))
    timed(0.006, 0.001, profile=decoder_only)
