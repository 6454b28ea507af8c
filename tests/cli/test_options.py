"""Points, boxes and `--json` as they are typed."""

import pytest

from edgekit.cli.arguments import with_json_files
from edgekit.cli.options import box_from_text, point_from_text


def test_a_point_is_foreground_by_default():
    assert point_from_text("3,4.5") == ((3.0, 4.5), 1)
    assert point_from_text("3,4.5,1") == ((3.0, 4.5), 1)
    assert point_from_text("3, 4.5, 0") == ((3.0, 4.5), 0)


def test_a_box_keeps_the_order_of_its_sides():
    assert box_from_text("1,2,3.5,4") == (1.0, 2.0, 3.5, 4.0)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("verify b --json", "verify b --json=-"),
        ("verify --json b", "verify --json=- b"),
        ("verify b --json a.json", "verify b --json=a.json"),
        ("verify b --json A.JSON", "verify b --json=A.JSON"),
        ("verify b --json -", "verify b --json=-"),
        ("verify b --json=a.txt", "verify b --json=a.txt"),
        ("verify b --json --grid 4", "verify b --json=- --grid 4"),
        ("verify b --json a.json c.json", "verify b --json=a.json c.json"),
    ],
)
def test_json_takes_the_json_file_after_it(typed, read):
    assert with_json_files(typed.split()) == read.split()


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("export nanosam -t x86-fp32 --out a --out b", "--out"),
        ("targets --json --json", "--json"),
        ("cache --json a.json --json b.json", "--json"),
        ("bench b --plot a.png --plot b.png", "--plot"),
    ],
)
def test_an_option_that_writes_a_file_is_refused_twice(run, typed, option):
    result = run(*typed.split())
    assert result.exit_code == 2
    assert f"{option} is given more than once" in result.stderr


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("predict b p.jpg --everything --grid 8 --grid 16", "--grid is given more than once; 16"),
        ("train nanosam --seed 1 --seed 2 --seed 3", "--seed is given more than once; 3 is used"),
        ("cache prune --to 1 --to 2", "--to is given more than once; 2 is used"),
    ],
)
def test_the_last_value_counts_and_the_user_is_told(run, monkeypatch, tmp_path, typed, told):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    assert run(*typed.split()).stderr.count(told) == 1


def test_flags_and_lists_may_be_repeated(run):
    twice = run("export", "nanosam", "-t", "x86-fp32", "--target", "x87", "--force", "--force")
    assert "there is no target 'x87'" in twice.stderr
    assert "more than once" not in twice.stderr


def test_json_of_the_cache_is_not_for_its_commands(run):
    result = run("cache", "--json", "prune")
    assert result.exit_code == 2
    assert "'cache prune' prints none" in result.stderr
