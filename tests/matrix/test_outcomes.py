"""From how a cell's steps ended to its state, and from states to an exit code."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import date, datetime, timezone

import pytest

from edgekit import catalog
from edgekit.errors import BadInput
from edgekit.matrix import Cell, Measure, State
from edgekit.matrix.cells import Step, StepRun
from edgekit.matrix.identity import identity_of
from edgekit.matrix.known import read_known_failures
from edgekit.matrix.outcome import last_error, picture_of, result_of
from edgekit.matrix.prompts import WorstPrompt
from edgekit.matrix.states import exit_code
from tests.matrix.fakes import (
    PHOTO,
    FakeFleet,
    export_ends,
    export_error,
    jpeg,
    missed,
    not_run,
    passed,
    step_run,
)

CELL = Cell(
    model="nanosam",
    target="x86-fp32",
    weights=("seeded",),
    measures=(Measure.VERIFY, Measure.BENCH),
)
BUG = "weights: 0.1 s\nedgekit has a bug: KeyError: 'x'. Please report it"
TRACE = 'Traceback:\n  File "x.py"\nerror: The disk is full.\nExpected: 1 GB'


def result(steps):
    target = catalog.target(CELL.target)
    identity = identity_of(CELL, target, FakeFleet().host(target))
    started = datetime(2026, 11, 26, tzinfo=timezone.utc)
    return result_of(CELL, identity, started=started, runs=steps(CELL))


@pytest.mark.parametrize(
    ("steps", "state", "reason"),
    [
        (passed(), State.PASSED_NATIVE, None),
        (passed(how="emulated", by="NumPy"), State.PASSED_EMULATED, None),
        (missed(), State.GATE_FAILED, "minimum IoU 0.50000 is below 0.99"),
        (export_error("GraphRejected", "Tile is forbidden"), State.REFUSED, "Tile is forbidden"),
        (export_error("NotYet", "INT8 is not there"), State.REFUSED, "INT8 is not there"),
        (export_error("RuntimeMissing", "no torch"), State.COULD_NOT_RUN, "no torch"),
        (export_error("BadInput", "no such file", code=2), State.COULD_NOT_RUN, "no such file"),
        (not_run("no TensorRT"), State.COULD_NOT_RUN, "no TensorRT"),
        (export_ends(code=70, log=BUG), State.COULD_NOT_RUN, BUG.splitlines()[1]),
        (export_ends(code=-11), State.COULD_NOT_RUN, "export ended with signal 11"),
        (
            export_ends(code=-9),
            State.COULD_NOT_RUN,
            "export ended with signal 9, by which the system ends a process when memory runs out",
        ),
        (export_ends(code=5), State.COULD_NOT_RUN, "export ended with exit code 5"),
        (
            export_ends(code=None, stopped="time", seconds=60.2),
            State.TIMED_OUT,
            "export was stopped after 60 s",
        ),
        (
            export_ends(code=None, stopped="memory"),
            State.COULD_NOT_RUN,
            "export was stopped when it held 3.0 GB of memory",
        ),
    ],
)
def test_states(steps, state, reason):
    assert (result(steps).state, result(steps).reason) == (state, reason)


def test_a_step_that_prints_no_json_could_not_run():
    def steps(cell):
        first, *_ = passed()(cell)
        return (first, step_run(cell, "verify", code=0))

    assert result(steps).state is State.COULD_NOT_RUN


def test_a_result_holds_the_figures():
    told = result(passed(iou=0.998, seconds=0.2))
    assert told.bundle_bytes == 12_300_000
    assert told.overall.min_iou == 0.998
    assert [kind.kind for kind in told.verdict.kinds] == ["point", "box"]
    assert told.bundle_figures.name == "nanosam-x86-fp32"
    assert told.pytorch_figures.name == "PyTorch eager"
    assert told.seconds == 6.0
    assert [step.name for step in told.steps] == ["export", "verify", "bench"]


def test_a_result_holds_how_ious_spread_and_the_worst_prompt():
    prompts = result(passed(iou=0.998)).prompts
    assert [(each.low, each.high) for each in prompts.bins if each.prompts] == [
        (0.995, 0.999),
        (0.9999, 1.0),
    ]
    assert sum(each.prompts for each in prompts.bins) == 2
    assert prompts.worst == WorstPrompt(photo=PHOTO, kind="point", iou=0.998, logit_error=0.25)
    assert result(not_run("no TensorRT")).prompts is None


@pytest.mark.parametrize(
    ("closeup", "kept"),
    [
        (b64encode(jpeg()).decode(), True),
        (None, False),
        ("no base64!", False),
        (b64encode(b"<svg onload='alert(1)'>").decode(), False),
        (b64encode(jpeg()[:200]).decode(), False),
        (b64encode(jpeg(2000, 1500)).decode(), False),  # more pixels than a report needs
        (b64encode(jpeg() + bytes(200_000)).decode(), False),
    ],
)
def test_only_a_sound_and_small_picture_is_kept(closeup, kept):
    document = json.dumps({"closeup": closeup, "results": []})
    step = Step(name="verify", command=(), exit_code=0, seconds=1.0, peak_bytes=1)
    assert (picture_of([StepRun(step=step, document=document)]) is not None) is kept


def test_a_log_is_shortened():
    (step,) = result(export_ends(code=70, log="x" * 10**6 + "the end")).steps
    assert len(step.log) <= 20_000
    assert step.log.endswith("the end")


def test_times_that_could_not_be_taken_leave_the_verdict():
    def steps(cell):
        *others, _ = passed()(cell)
        return (*others, step_run(cell, "bench", code=None, stopped="time"))

    told = result(steps)
    assert (told.state, told.bench) == (State.PASSED_NATIVE, None)


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (TRACE, "error: The disk is full. Expected: 1 GB"),
        (BUG, BUG.splitlines()[1]),
        ("", ""),
        ("one\ntwo\n", "two"),
    ],
)
def test_the_last_error_of_a_log(log, told):
    assert last_error(log) == told


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], 0),
        ([State.PASSED_NATIVE, State.PASSED_EMULATED], 0),
        ([State.PASSED_NATIVE, State.KNOWN_FAILURE, State.NOT_ASKED], 0),
        ([State.PASSED_NATIVE, State.GATE_FAILED], 1),
        ([State.REFUSED], 3),
        ([State.GATE_FAILED, State.COULD_NOT_RUN], 3),
        ([State.TIMED_OUT], 3),
        ([State.STALE], 3),
    ],
)
def test_exit_codes(states, code):
    assert exit_code(states) == code


FAILURE = """
[[failure]]
model = "nano*"
target = "x86-int8"
state = "gate failed"
reason = "random weights"
link = "https://example.com/1"
expires = 2026-12-31
"""


def test_known_failures_are_read(tmp_path):
    table = tmp_path / "known.toml"
    table.write_text(FAILURE)
    (known,) = read_known_failures(table)
    assert (known.state, known.expires) == (State.GATE_FAILED, date(2026, 12, 31))
    assert known.covers("nanosam", "x86-int8")
    assert not known.covers("mobilesam", "x86-int8")
    assert not known.covers("nanosam", "x86-fp32")


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("gate failed", "passed native", "passed native is not a failure"),
        ("gate failed", "broken", "failure.0.state"),
        ("2026-12-31", '"never"', "failure.0.expires"),
        ('link = "https://example.com/1"', "", "failure.0.link: missing"),
        ("reason", "because", "failure.0.because: unknown key"),
        ("[[failure]]", "[[failure]", "known.toml"),
    ],
)
def test_known_failures_that_do_not_read(tmp_path, before, after, named):
    table = tmp_path / "known.toml"
    table.write_text(FAILURE.replace(before, after))
    with pytest.raises(BadInput) as error:
        read_known_failures(table)
    assert named in error.value.what
