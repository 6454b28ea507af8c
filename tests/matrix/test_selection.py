"""Names, globs, words, weights and shards."""

from __future__ import annotations

import re

import pytest

from edgekit import catalog
from edgekit.catalog import tables
from edgekit.errors import BadInput, UnknownName
from edgekit.lowering import obstacle
from edgekit.matrix.cells import Measure
from edgekit.matrix.selection import (
    CANARY_MODELS,
    cells_of,
    measures_from,
    require_weights,
    selected_models,
    selected_targets,
    shard_of,
    weights_by_model,
)
from edgekit.matrix.steps import commands_of
from edgekit.models import registry

ALL_MODELS = tuple(row.name for row in registry.models())
ALL_TARGETS = tuple(target.name for target in catalog.targets())
ORT = ("x86-ort-fp32", "x86-ort-int8")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["mobilesam,nanosam"], ("nanosam", "mobilesam")),
        (["mobilesam", "nanosam"], ("nanosam", "mobilesam")),
        (["nano*", "nanosam"], ("nanosam",)),
        (["fastsam_?"], ("fastsam_s", "fastsam_x")),
        (["all"], ALL_MODELS),
        (["changed"], ALL_MODELS),
        (["canary"], CANARY_MODELS),
    ],
)
def test_models(asked, expected):
    assert selected_models(asked) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["x86-ort-*"], ORT),
        (["*-bf16, jetson-fp16"], ("jetson-fp16", "x86-bf16")),
        (["all"], ALL_TARGETS),
        (["ready"], tuple(t.name for t in catalog.targets() if obstacle(t) is None)),
    ],
)
def test_targets(asked, expected):
    assert selected_targets(asked) == expected


def test_files_are_targets_of_the_users_own(own_target, monkeypatch):
    board, other = own_target("board"), own_target("other")
    monkeypatch.chdir(board.parent)
    assert selected_targets(["x86-ort-*,board.toml"]) == (*ORT, "board.toml")
    assert selected_targets(["board.toml", "./board.toml"]) == ("board.toml",)
    assert selected_targets([f"{board.parent}/*.toml"]) == (str(board), str(other))
    edgekits = str(tables.table_dir("targets") / "x86-ort-fp32.toml")
    assert selected_targets([f"x86-ort-*,{edgekits}"]) == ORT, "each target is taken once"


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("no.toml", "no.toml"),
        ("no-*.toml", "no-*.toml"),
        ("board.toml,twin/board.toml", "Two targets are named board"),
        ("broken.toml", "cannot be used"),
        ("my board.toml", "The target 'my board' cannot be part of a matrix"),
        ("a--board.toml", "The target 'a--board' cannot be part of a matrix"),
        ("-board.toml", "The target '-board' cannot be part of a matrix"),
        ("~no-such-user/board.toml", "no home folder"),
    ],
)
def test_files_that_are_no_targets(own_target, monkeypatch, asked, problem):
    folder = own_target("board").parent
    own_target("board", folder="boards/twin", min_iou=0.5)
    own_target("my board")
    own_target("-board")
    own_target("a--board")
    (folder / "broken.toml").write_text('name = "broken"\n')
    monkeypatch.chdir(folder)
    with pytest.raises(BadInput, match=re.escape(problem)):
        selected_targets(["x86-fp32", asked])


def test_a_cell_knows_the_file_of_its_target(own_target):
    file = str(own_target("board"))
    cells = cells_of(
        ("nanosam",), ("x86-fp32", file), weights={}, photos=None, measures=(Measure.VERIFY,)
    )
    assert [(cell.name, cell.asked_target) for cell in cells] == [
        ("nanosam--x86-fp32", "x86-fp32"),
        ("nanosam--board", file),
    ]
    assert ("--target", file) == commands_of(cells[1])["export"][2:4]


def test_canary_targets_are_one_per_runtime_in_the_widest_precision():
    chosen = [catalog.target(name) for name in selected_targets(["canary"])]
    assert sorted(t.runtime for t in chosen) == sorted({t.runtime for t in catalog.targets()})
    for target in chosen:
        assert target.precision == "fp32" or target.runtime == "tensorrt"


def test_ready_models_are_those_whose_weights_can_be_had():
    ready = selected_models(["ready"])
    assert "nanosam" in ready, "edgekit ships weights of it"
    assert "mobilesam" in ready
    assert "supersam" not in ready, "nothing is published"


@pytest.mark.parametrize(
    ("select", "asked", "suggested"),
    [
        (selected_models, "nanosma", "nanosam"),
        (selected_models, "sam3*", "sam_*"),
        (selected_models, "canari", "canary"),
        (selected_targets, "x87-*", "x86-*"),
        (selected_targets, "jetson-fp61", "jetson-fp16"),
    ],
)
def test_what_means_nothing_is_refused_with_the_nearest_name(select, asked, suggested):
    with pytest.raises(UnknownName) as error:
        select(["all", asked])
    assert suggested in error.value.what.partition("did you mean")[2]


@pytest.mark.parametrize("select", [selected_models, selected_targets])
@pytest.mark.parametrize("asked", [[","], ["", " , "]])
def test_no_name_at_all_is_refused(select, asked):
    with pytest.raises(BadInput, match="names no"):
        select(asked)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], {}),
        (["seeded"], {"*": ("seeded",)}),
        (["seeded:7"], {"*": ("seeded:7",)}),
        (["bundled", "mobilesam=a=b.pt"], {"*": ("bundled",), "mobilesam": ("a=b.pt",)}),
        (["nanosam=a.onnx", "nanosam=b.pt"], {"nanosam": ("a.onnx", "b.pt")}),
    ],
)
def test_weights(asked, expected):
    assert weights_by_model(asked) == expected


@pytest.mark.parametrize(
    "asked",
    [
        ["mobile_sam.pt"],
        ["seeded", "bundled"],
        ["./a=b.pt"],
        ["nanosma=a.pt"],
        ["nanosam="],
        ["seeded:\N{ARABIC-INDIC DIGIT THREE}"],
    ],
)
def test_weights_that_do_not_say_whose_they_are(asked):
    with pytest.raises(BadInput):
        require_weights(weights_by_model(asked))


def test_weights_of_each_model_and_a_word_for_the_others():
    require_weights({"*": ("seeded:3",), "mobilesam": ("a.pt", "b.pt")})


def cells():
    return cells_of(
        ("nanosam", "mobilesam"),
        ("x86-fp32", "x86-int8", "jetson-fp16"),
        weights={"*": ("seeded",), "mobilesam": ("m.pt",)},
        photos=None,
        measures=(Measure.VERIFY,),
    )


def test_cells_are_all_pairs_with_their_weights():
    assert [cell.name for cell in cells()][:2] == ["nanosam--x86-fp32", "nanosam--x86-int8"]
    assert [cell.weights for cell in cells()] == [("seeded",)] * 3 + [("m.pt",)] * 3


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_shards_share_all_cells(count):
    shards = [shard_of(cells(), f"{index}/{count}") for index in range(1, count + 1)]
    assert sorted(cell.name for shard in shards for cell in shard) == sorted(
        cell.name for cell in cells()
    )
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "1/0", "a/b", "-1/2", "1/2/3"])
def test_a_shard_that_is_no_part(text):
    with pytest.raises(BadInput, match="is not a part"):
        shard_of(cells(), text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("verify", (Measure.VERIFY,)),
        ("bench,verify", (Measure.VERIFY, Measure.BENCH)),
        ("verify, bench", (Measure.VERIFY, Measure.BENCH)),
        ("evaluate,verify", (Measure.VERIFY, Measure.EVALUATE)),
    ],
)
def test_measures(text, expected):
    assert measures_from(text) == expected


@pytest.mark.parametrize("text", ["bench", "verify,speed", ""])
def test_measures_without_a_verdict(text):
    with pytest.raises(BadInput, match="verify"):
        measures_from(text)
