"""Which cells run, which are known, and what is left after an interruption."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest

from edgekit import catalog
from edgekit.errors import BadInput, UnknownName
from edgekit.matrix import MatrixRequest, Measure, State, read_results, run_matrix
from edgekit.matrix import running as running_module
from edgekit.matrix.cells import Place
from edgekit.matrix.estimate import Estimate
from edgekit.matrix.overview import Overview, ShownCell, overview_of
from edgekit.matrix.results import ResultsFolder, picture_beside
from edgekit.matrix.states import exit_code
from edgekit.models import registry
from tests.matrix.fakes import (
    FakeFleet,
    FakeWatch,
    Lost,
    export_ends,
    export_error,
    jpeg,
    missed,
    passed,
)

SIX = 6
TIMED_OUT = export_ends(code=None, stopped="time")


def states(overview) -> dict[str, State]:
    return {f"{cell.place.model}/{cell.place.target}": cell.state for cell in overview.cells}


def test_every_pair_runs_once_and_is_written(matrix, results):
    fleet = FakeFleet()
    overview = matrix(fleet)
    assert len(set(fleet.ran)) == len(fleet.ran) == SIX
    assert overview.counts == {State.PASSED_NATIVE: SIX}
    files = sorted(file.name for file in results.glob("*.json"))
    assert len(files) == SIX
    key = read_results(results)
    assert files[0] == f"mobilesam--jetson-fp16--{next(iter_named(key, files[0]))[:8]}.json"


def iter_named(folder, name):
    return (result.key for result in folder if name.startswith(f"{result.cell.name}--"))


def test_what_is_known_is_not_run_again(matrix):
    matrix(FakeFleet())
    again = FakeFleet()
    assert matrix(again).counts == {State.PASSED_NATIVE: SIX}
    assert again.ran == []


@pytest.mark.parametrize(
    ("outcome", "resume", "runs"),
    [
        (TIMED_OUT, False, True),
        (TIMED_OUT, True, False),
        (export_ends(code=70), False, True),
        (missed(), False, False),
        (export_error("NotYet", "not there"), False, False),
    ],
)
def test_cells_without_a_verdict_are_tried_again_unless_a_run_is_resumed(
    matrix, outcome, resume, runs
):
    matrix(FakeFleet({"nanosam/x86-int8": outcome}))
    again = FakeFleet()
    matrix(again, resume=resume)
    assert again.ran == (["nanosam/x86-int8"] if runs else [])


def test_a_cell_that_was_not_timed_runs_again_for_its_times(matrix):
    matrix(FakeFleet())
    timed, again = FakeFleet(), FakeFleet()
    matrix(timed, measures=(Measure.VERIFY, Measure.BENCH))
    matrix(again)
    assert (len(timed.ran), again.ran) == (SIX, [])


def test_other_versions_or_another_machine_run_again_and_replace(matrix, results):
    matrix(FakeFleet())
    matrix(FakeFleet(machine="another"))
    assert len(list(results.glob("*.json"))) == len(list(results.glob("*.jpg"))) == SIX
    assert {result.identity.host.machine for result in read_results(results)} == {"another"}


@pytest.mark.parametrize("field", ["weights", "profile", "photos", "code"])
def test_a_key_depends_on_all_that_an_outcome_depends_on(matrix, results, monkeypatch, field):
    matrix(FakeFleet())
    original = running_module.identity_of

    def changed(cell, target, host):
        return replace(original(cell, target, host), **{field: "another"})

    monkeypatch.setattr(running_module, "identity_of", changed)
    again = FakeFleet()
    matrix(again)
    assert len(again.ran) == SIX


def test_one_lost_machine_does_not_stop_the_rest(matrix):
    overview = matrix(FakeFleet({"nanosam/x86-fp32": Lost("The machine does not answer.")}))
    assert overview.counts == {State.PASSED_NATIVE: SIX - 1, State.COULD_NOT_RUN: 1}
    assert overview.exit_code == 3


def test_a_fleet_of_two_runs_two_cells_at_once(matrix):
    together = Barrier(2, timeout=20)

    def meet(cell):
        together.wait()
        return passed()(cell)

    pairs = ("nanosam/x86-fp32", "nanosam/x86-int8")
    overview = matrix(
        FakeFleet(dict.fromkeys(pairs, meet), capacity=2),
        models=("nanosam",),
        targets=("x86-fp32,x86-int8",),
    )
    assert overview.counts == {State.PASSED_NATIVE: 2}


def test_a_host_does_not_wait_for_the_cells_of_another(matrix):
    both = Barrier(2, timeout=20)

    def meet(cell):
        both.wait()
        return passed()(cell)

    class TwoHosts(FakeFleet):
        def host(self, target):
            return replace(super().host(target), label=target.label)

    fleet = TwoHosts({"mobilesam/x86-fp32": meet, "nanosam/jetson-fp16": meet})
    overview = matrix(fleet, targets=("x86-fp32,jetson-fp16",))
    assert overview.counts == {State.PASSED_NATIVE: 4}


def test_progress_says_what_runs_what_is_left_and_until_when(results):
    watch = FakeWatch()
    asked = {"models": ("nanosam",), "targets": ("x86-fp32", "x86-int8"), "results": results}
    request = MatrixRequest(**asked, weights={"*": ("seeded",)})
    run_matrix(request, FakeFleet(), watch=watch)
    assert watch.told[0] == ("planned", 2, False)
    assert {("started", "nanosam--x86-fp32"), ("started", "nanosam--x86-int8")} < set(watch.told)
    assert ("ended", "nanosam--x86-fp32", 1, True) in watch.told
    assert watch.told[-1] == ("ended", "nanosam--x86-int8", 0, True)


def test_the_estimate_takes_earlier_times_or_their_mean(matrix, results):
    matrix(FakeFleet())
    estimate = Estimate(read_results(results), {"local": 2, "orin": 1})
    known = next(iter(read_results(results))).place
    end = estimate.end([known, replace(known, model="another")])
    left = end - datetime.now().astimezone()
    assert timedelta(seconds=3) < left <= timedelta(seconds=4), "two cells of 4 s on two machines"
    assert Estimate([], {"local": 1}).end([known]) is None


# --- interruptions --------------------------------------------------------------------------------


def test_an_interruption_stops_the_fleet_and_keeps_what_is_done(matrix, results):
    fleet = FakeFleet({"mobilesam/x86-fp32": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        matrix(fleet)
    assert fleet.stopped
    done = {result.cell.name for result in read_results(results)}
    assert {f"nanosam--{target}" for target in ("x86-fp32", "x86-int8", "jetson-fp16")} <= done
    again = FakeFleet()
    matrix(again)
    assert len(again.ran) == SIX - len(done)


SLOW_MATRIX = """
import sys, time
from pathlib import Path
from threading import Thread
from edgekit.matrix import MatrixRequest, run_matrix
from tests.matrix.fakes import FakeFleet, FakeWatch, passed

def slow(cell):
    time.sleep(0.5)
    return passed()(cell)

pairs = [f"nanosam/{target}" for target in sys.argv[2].split(",")]
request = MatrixRequest(models=("nanosam",), targets=(sys.argv[2],), results=Path(sys.argv[1]),
                        weights={"*": ("seeded",)})
run_matrix(request, FakeFleet(dict.fromkeys(pairs, slow)), watch=FakeWatch())
"""


@pytest.mark.slow
def test_a_killed_matrix_loses_only_the_cell_that_ran(matrix, results):
    targets = "x86-fp32,x86-int8,jetson-fp16,android-fp32,iphone-fp32"
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_MATRIX, str(results), targets],
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    until = time.monotonic() + 60
    while len(list(results.glob("*.json"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = [result.cell.name for result in read_results(results)]
    assert 2 <= len(done) < 5
    again = FakeFleet()
    matrix(again, models=("nanosam",), targets=(targets,))
    assert len(again.ran) == 5 - len(done)


# --- the results folder ---------------------------------------------------------------------------


def another_version(text: str) -> str:
    return json.dumps({**json.loads(text), "schema": 2})


def with_number(text: str, number: str) -> str:
    """The text with another value in one of its lines."""
    name = number.partition(":")[0]
    changed, count = re.subn(f"^  {name}: .*,$", f"  {number},", text, flags=re.M)
    assert count == 1
    return changed


def of_cell(text: str, **names: str) -> str:
    """The text with other names of its cell."""
    result = json.loads(text)
    return json.dumps({**result, "cell": {**result["cell"], **names}})


UNREADABLE = {
    "cell.model: '../../etc/x' is not a name": lambda text: of_cell(text, model="../../etc/x"),
    "cell.model: '' is not a name": lambda text: of_cell(text, model=""),
    "cell.target: 'xxx": lambda text: of_cell(text, target="x" * 1000),
    "cell.target: '=1+1' is not a name": lambda text: of_cell(text, target="=1+1"),
    "seconds: must be at least 0": lambda text: with_number(text, '"seconds": -1.0'),
    "seconds: must be at most 10,000,000": lambda text: with_number(text, '"seconds": 1e9'),
    "another version of edgekit wrote it, with schema 2": another_version,
    "Invalid JSON": lambda text: text[: len(text) // 2],
    "schema: Input should be a valid integer": lambda _: '{"schema": "1"}',
    "cell: missing": lambda _: '{"schema": 1}',
    "more than 4,000,000 bytes": lambda text: " " * 4_000_001 + text,
    "bundle_bytes": lambda text: with_number(text, '"bundle_bytes": 1' + "0" * 400),
    "seconds": lambda text: with_number(text, '"seconds": 1e300'),
    "recursion limit": lambda _: "[" * 100_000,
}


@pytest.mark.parametrize("reason", UNREADABLE)
def test_an_unreadable_result_is_told_and_its_cell_runs_again(matrix, results, reason):
    matrix(FakeFleet())
    file = min(results.glob("*.json"))
    file.write_text(UNREADABLE[reason](file.read_text()))
    folder = read_results(results)
    assert len(list(folder)) == SIX - 1
    (notice,) = folder.notices
    assert str(file) in notice
    assert reason in notice
    again = FakeFleet()
    assert matrix(again).notices == ()  # the new result has replaced the file
    assert len(again.ran) == 1
    assert len(list(read_results(results))) == SIX


def test_an_unreadable_result_of_no_cell_stays_and_is_told(matrix, results):
    matrix(FakeFleet())
    (results / "nanosam--x86-fp32--00000000.json").write_text("{}")
    overview = matrix(FakeFleet())
    assert ["00000000.json is left out" in notice for notice in overview.notices] == [True]


def test_what_is_no_file_is_not_read(matrix, results):
    matrix(FakeFleet())
    os.mkfifo(results / "nanosam--x86-fp32--01234567.json")
    assert len(list(read_results(results))) == SIX


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (None, True),
        (b"\xff\xd8\xff no picture", False),
        (b"", False),
        (jpeg(2000, 1500), False),
        (jpeg() + bytes(200_000), False),
    ],
)
def test_only_a_sound_and_small_picture_is_shown(matrix, results, content, shown):
    matrix(FakeFleet())
    result = next(iter(read_results(results)))
    (file,) = results.glob(f"{result.cell.name}--*.jpg")
    if content is not None:
        file.write_bytes(content)
    assert (picture_beside(results, result) == jpeg()) is shown


def test_a_picture_that_is_gone_or_no_file(matrix, results):
    matrix(FakeFleet())
    result = next(iter(read_results(results)))
    (file,) = results.glob(f"{result.cell.name}--*.jpg")
    file.unlink()
    assert picture_beside(results, result) is None
    os.mkfifo(file)
    assert picture_beside(results, result) is None


def test_a_result_without_a_picture_leaves_none_of_an_earlier_run(matrix, results):
    matrix(FakeFleet(), targets=("x86-fp32",))
    for result in results.glob("nanosam*.json"):
        result.unlink()
    matrix(FakeFleet({"nanosam/x86-fp32": TIMED_OUT}), targets=("x86-fp32",))
    assert [file.name[:9] for file in results.glob("*.jpg")] == ["mobilesam"]


def test_files_with_other_names_are_left_alone(matrix, results):
    results.mkdir()
    (results / "notes.json").write_text("{")
    (results / "README.md").write_text("Results.")
    assert matrix(FakeFleet()).counts == {State.PASSED_NATIVE: SIX}
    assert (results / "notes.json").read_text() == "{"


def test_a_folder_is_shown_without_a_run(matrix, results):
    matrix(FakeFleet({"nanosam/x86-int8": missed()}))
    fleet = FakeFleet()
    overview = matrix(fleet, models=(), targets=())
    assert fleet.ran == []
    assert overview.exit_code == 1
    with pytest.raises(BadInput, match="There is no folder"):
        matrix(fleet, models=(), targets=(), results=results / "none")


def test_a_results_folder_that_is_a_file(matrix, results):
    results.write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        matrix(FakeFleet())


def test_a_results_folder_that_is_read_only_is_refused_before_the_first_cell(matrix, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("edgekit.store.folders.TemporaryFile", refuse)
    fleet = FakeFleet()
    with pytest.raises(BadInput, match="cannot be written: Read-only file system"):
        matrix(fleet)
    assert fleet.ran == []


def test_a_disk_that_is_full_ends_the_matrix_with_its_reason(matrix, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(BadInput, match="No space left on device"):
        matrix(FakeFleet())


def test_a_result_that_another_matrix_has_just_replaced_is_passed_over(
    matrix, results, monkeypatch
):
    matrix(FakeFleet())
    gone = next(results.glob("*.json"))
    listed = sorted(results.glob("*.json"))
    gone.unlink()
    monkeypatch.setattr(Path, "glob", lambda *_: listed)
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    assert len(list(read_results(results))) == SIX - 1


def test_two_matrices_at_once_in_one_folder_leave_one_result_per_cell(matrix, results):
    threads = [Thread(target=matrix, args=(FakeFleet(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(read_results(results))) == len(list(results.glob("*.json"))) == SIX
    assert not [file for file in results.iterdir() if file.name.startswith(".")]


# --- what is asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"models": ()}, "--models is missing"),
        ({"targets": ()}, "--targets is missing"),
        ({"models": ("nanosma",)}, "did you mean nanosam"),
        ({"shard": "3/2"}, "--shard 3/2"),
        ({"photos": "no/such/folder"}, "no such file or folder"),
        ({"measures": tuple(Measure), "photos": "photos"}, "the photos have none"),
        ({"known_failures": Path("no.toml")}, "no.toml"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_before_the_first_cell(matrix, asked, error):
    fleet = FakeFleet()
    with pytest.raises((BadInput, UnknownName), match=error):
        matrix(fleet, **asked)
    assert fleet.ran == []


def test_changed_asks_only_for_cells_without_a_result_that_holds(matrix):
    matrix(FakeFleet({"nanosam/x86-int8": missed()}))
    fleet = FakeFleet()
    overview = matrix(fleet, models=("changed",), targets=("x86-fp32,x86-int8",))
    others = len(registry.models()) - 2
    assert len(fleet.ran) == 2 * others, "two models have results for both targets"
    assert overview.exit_code == 0, "the gate that failed before was not asked for"
    assert overview.counts[State.GATE_FAILED] == 1
    assert matrix(fleet, models=("changed",), targets=("x86-int8",)).exit_code == 0


def test_shards_fill_one_folder(matrix):
    one, two = FakeFleet(), FakeFleet()
    assert len(matrix(one, shard="1/2").asked) == SIX / 2
    assert matrix(two, shard="2/2").counts == {State.PASSED_NATIVE: SIX}
    assert sorted([*one.ran, *two.ran]) == sorted(set(one.ran) | set(two.ran))


# --- states that come from outside ----------------------------------------------------------------


def test_results_of_other_code_are_stale(matrix, results, monkeypatch):
    matrix(FakeFleet())
    monkeypatch.setattr("edgekit.matrix.identity._module_digest", lambda _: "changed")
    overview = matrix(FakeFleet(), models=(), targets=())
    assert overview.counts == {State.STALE: SIX}
    assert overview.cells[0].reason == "was passed native; since then changed: code"
    assert overview.exit_code == 3


def test_what_changed_is_named(matrix):
    matrix(FakeFleet(machine="one"))
    (cell, *_) = matrix(FakeFleet(machine="two"), models=(), targets=()).cells
    assert cell.reason == "was passed native; since then changed: machine (one to two)"


def test_results_of_a_machine_outside_the_fleet_are_not_stale_for_that(matrix):
    class Elsewhere(FakeFleet):
        def host(self, target):
            return replace(super().host(target), label="orin", machine="Jetson Orin")

    class Unreached(FakeFleet):
        def host(self, target):
            return replace(super().host(target), label="orin", machine="", versions={})

    matrix(Elsewhere(), targets=("jetson-fp16",))
    shown = matrix(Unreached(), models=(), targets=())
    assert shown.counts == {State.PASSED_NATIVE: 2}, "nor of one that does not answer"
    overview = matrix(FakeFleet(), targets=("x86-fp32",))
    assert overview.columns == (("jetson-fp16", "orin"), ("x86-fp32", "local"))
    assert overview.counts == {State.PASSED_NATIVE: 4}


def test_a_grid_has_a_cell_that_was_not_asked_for_where_there_is_no_result():
    places = [
        Place(model=f"m{number}", weights=(), target="x86-fp32", host=f"h{number}")
        for number in range(150)  # looked up one by one, they would take minutes
    ]
    cells = tuple(ShownCell(place=place, state=State.STALE) for place in places)
    grid = Overview(cells=cells, asked=frozenset()).grid
    assert [row[0] for row in grid] == [place.model for place in places]
    for place, row in zip(places, grid.values(), strict=True):
        assert [cell.place for cell in row if cell.state is State.STALE] == [place]
        assert sum(cell.state is State.NOT_ASKED for cell in row) == 149


def test_a_model_that_is_gone_is_stale(matrix, results):
    matrix(FakeFleet())
    renamed = [
        replace(each, cell=replace(each.cell, model="gonesam")) for each in read_results(results)
    ]
    overview = overview_of(
        ResultsFolder(results, renamed),
        asked=None,
        fleet=FakeFleet(),
        known=(),
        today=date(2026, 11, 26),
    )
    assert overview.counts == {State.STALE: len({each.place for each in renamed})}
    assert "There is no model named 'gonesam'" in overview.cells[0].reason


KNOWN = """
[[failure]]
model = "nanosam"
target = "x86-int8"
state = "gate failed"
reason = "random weights"
link = "https://example.com/1"
expires = {expires}
"""


@pytest.mark.parametrize(
    ("expires", "outcome", "state", "notice"),
    [
        ("2999-01-01", missed(), State.KNOWN_FAILURE, None),
        ("2001-01-01", missed(), State.GATE_FAILED, "expired on 2001-01-01"),
        ("2999-01-01", export_ends(code=70), State.COULD_NOT_RUN, None),
        ("2999-01-01", passed(), State.PASSED_NATIVE, "remove the entry"),
    ],
)
def test_known_failures(matrix, results, expires, outcome, state, notice):
    results.mkdir()
    (results / "known-failures.toml").write_text(KNOWN.format(expires=expires))
    overview = matrix(FakeFleet({"nanosam/x86-int8": outcome}))
    assert states(overview)["nanosam/x86-int8"] is state
    assert overview.exit_code == exit_code([state])
    assert [notice in each for each in overview.notices] == ([True] if notice else [])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('model = "nanosma"', "failure.0.model: there is no model 'nanosma'"),
        ('target = "x87-*"', "failure.0.target: there is no target 'x87-*'"),
        ('target = "no.toml"', "failure.0.target: The target cannot be used"),
        ('target = ".toml"', "failure.0.target: there is no target '.toml'"),
        ('state = "passed native"', "failure.0.state: passed native is not a failure"),
        ('state = "stale"', "failure.0.state: stale is not a failure"),
        ('link = ""', "failure.0.link: must begin with https:// or http://"),
        ('link = "javascript:alert(1)"', "failure.0.link: must begin with"),
        ("expires = 2027-01-01T10:00:00", "failure.0.expires: Input should be a valid date"),
        ("expires = 20270101", "failure.0.expires: Input should be a valid date"),
    ],
)
def test_a_known_failure_that_can_never_hold_is_refused(matrix, results, line, problem):
    name = line.partition(" ")[0]
    text = re.sub(f"^{name} = .*$", line, KNOWN.format(expires="2999-01-01"), flags=re.M)
    results.mkdir()
    (results / "known-failures.toml").write_text(text)
    fleet = FakeFleet()
    with pytest.raises(BadInput, match=re.escape(problem)) as error:
        matrix(fleet)
    assert error.value.next_step == "correct the entry, or remove it"
    assert fleet.ran == []


def test_the_profile_is_part_of_the_key(matrix, monkeypatch):
    matrix(FakeFleet(), targets=("x86-fp32",))
    original = catalog.target("x86-fp32")
    stricter = replace(original, gate=replace(original.gate, min_iou=0.999))
    monkeypatch.setattr(catalog, "target_or_file", lambda _: stricter)
    again = FakeFleet()
    matrix(again, targets=("x86-fp32",))
    assert len(again.ran) == 2


def test_a_target_of_the_users_own_is_a_column_like_any_other(matrix, results, own_target):
    file = own_target("board")
    asked = {"models": ("nanosam",), "targets": ("x86-fp32", str(file))}
    results.mkdir()
    known = KNOWN.format(expires="2999-01-01").replace("x86-int8", str(file))
    (results / "known-failures.toml").write_text(known)
    matrix(FakeFleet(), models=("mobilesam",), targets=("x86-fp32",))  # a run without the target

    fleet = FakeFleet({"nanosam/board": missed()})
    overview = matrix(fleet, **asked)
    assert fleet.ran == ["nanosam/x86-fp32", "nanosam/board"]
    assert states(overview)["nanosam/board"] is State.KNOWN_FAILURE
    assert overview.exit_code == 0

    again = FakeFleet()
    matrix(again, **asked)
    assert again.ran == [], "its result holds"
    shown = matrix(again, models=(), targets=())
    assert states(shown)["nanosam/board"] is State.KNOWN_FAILURE, "shown without naming the file"

    own_target("board", min_iou=0.5)
    shown = matrix(again, models=(), targets=())
    (cell,) = (cell for cell in shown.cells if cell.place.target == "board")
    assert (cell.state, "changed: the target" in cell.reason) == (State.STALE, True)
    file.unlink()
    with pytest.raises(BadInput, match=r"failure\.0\.target: The target cannot be used"):
        matrix(again, models=(), targets=())
    (results / "known-failures.toml").unlink()
    shown = matrix(again, models=(), targets=())
    (cell,) = (cell for cell in shown.cells if cell.place.target == "board")
    assert (cell.state, "board.toml" in cell.reason) == (State.STALE, True)


@pytest.mark.parametrize("file", ["other.toml", "/etc/passwd", "board.toml/x", ""])
def test_a_result_whose_file_is_not_its_targets_is_left_out(matrix, results, own_target, file):
    matrix(FakeFleet(), models=("nanosam",), targets=(str(own_target("board")),))
    (written,) = results.glob("*.json")
    document = json.loads(written.read_text())
    document["cell"]["target_file"] = file
    written.write_text(json.dumps(document))
    (notice,) = read_results(results).notices
    assert "cell.target_file" in notice
