"""Every rendering holds every cell, and shows what files hold as text."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgekit.errors import BadInput, RuntimeMissing
from edgekit.matrix import Measure, differences, read_results
from edgekit.matrix.report import (
    csv_from,
    junit_from,
    markdown_from,
    page_from,
    require_report,
    write_report,
)
from tests.coco_shapes import write_coco
from tests.matrix.fakes import (
    FakeFleet,
    export_ends,
    export_error,
    jpeg,
    missed,
    passed,
)

EVIL = "<script>alert(1)</script> | `x` ]]>\x1b[31m\nsecond line"
OUTCOMES = {
    "nanosam/x86-int8": missed(),
    "nanosam/jetson-fp16": passed(how="emulated", by="NumPy <b>"),
    "mobilesam/x86-fp32": export_error("GraphRejected", EVIL),
    "mobilesam/x86-int8": export_ends(code=70, log="edgekit has a bug: =1+1"),
    "mobilesam/jetson-fp16": export_ends(code=None, stopped="time"),
}
STATES = {
    ("nanosam", "x86-fp32"): "passed native",
    ("nanosam", "x86-int8"): "gate failed",
    ("nanosam", "jetson-fp16"): "passed emulated",
    ("mobilesam", "x86-fp32"): "refused",
    ("mobilesam", "x86-int8"): "could not run",
    ("mobilesam", "jetson-fp16"): "timed out",
}


@pytest.fixture
def overview(matrix):
    """Two models for three targets, each in another state, timed."""
    return matrix(FakeFleet(OUTCOMES), measures=(Measure.VERIFY, Measure.BENCH))


@pytest.fixture
def changes(matrix, overview, tmp_path):
    """What changed since a folder where all passed."""
    matrix(FakeFleet(), results=tmp_path / "before")
    return differences(read_results(tmp_path / "before"), overview.results)


class Page(HTMLParser):
    """The elements of a page, and the text of each cell's section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.sections: dict[tuple[str, str], str] = {}
        self.grid: list[str] = []
        self._section: tuple[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.append(tag)
        self.outside += [value for name, value in attrs if name in {"src", "srcset"}]
        self.links |= {value for name, value in attrs if name in {"href", "xlink:href"}}
        if "id" in named:
            self.anchors.add(named["id"])
        if tag == "td" and named.get("class") not in (None, "figure"):
            self.grid.append(named["class"])
        if tag == "section":
            self._section = named["data-model"], named["data-target"]
            self.sections[self._section] = named["data-state"] + "\n"

    def handle_endtag(self, tag):
        if tag == "section":
            self._section = None

    def handle_data(self, data):
        if self._section:
            self.sections[self._section] += data


class Cells(HTMLParser):
    """The rows of the matrix, each a list of its cells' texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[list[str]]] = []
        self._inside = False
        self.feed(page)

    @property
    def cells(self) -> list[list[str]]:
        return [[" ".join(" ".join(cell).split()) for cell in row] for row in self.rows]

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self._inside = dict(attrs).get("class") == "matrix"
        elif self._inside and tag == "tr":
            self.rows.append([])
        elif self._inside and tag in {"td", "th"}:
            self.rows[-1].append([])

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "table"

    def handle_data(self, data):
        if self._inside and self.rows and self.rows[-1]:
            self.rows[-1][-1].append(data)


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_has_each_cell_in_the_matrix_and_a_section(overview, changes):
    page = Page(page_from(overview, changes))
    assert {pair: text.partition("\n")[0] for pair, text in page.sections.items()} == STATES
    assert sorted(page.grid) == sorted(state.replace(" ", "-") for state in STATES.values())
    assert {link[1:] for link in page.links} <= page.anchors
    shown = page.sections["nanosam", "x86-fp32"]
    for text in ("0.99910", "point", "box", "all", "101 ms", "1,010 ms", "12.3 MB"):
        assert text in shown, text
    for command in (
        "edgekit export nanosam --target x86-fp32 --weights seeded --out dist --no-verify\n",
        "edgekit verify dist/nanosam-x86-fp32 --weights seeded\n",
        "edgekit bench dist/nanosam-x86-fp32 --against pytorch --rounds 7\n",
    ):
        assert command in shown
    assert "Worst prompt: point on street <b>.jpg, IoU 0.99910" in shown
    assert "emulated by" in page.sections["nanosam", "jetson-fp16"]


def test_the_page_stands_alone(overview):
    text = page_from(overview, None)
    page = Page(text)
    assert all(each.startswith("data:image/jpeg;base64,") for each in page.outside)
    assert all(link.startswith("#") for link in page.links)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in text.replace("url(#", "")
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_texts_of_cells_are_no_markup(overview, changes):
    text = page_from(overview, changes)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "NumPy &lt;b&gt;" in text
    assert "street &lt;b&gt;.jpg" in text


HOSTILE = "\"><script>alert('{{ 7 * 7 }}$\\frac$')</script><img src=x onerror=alert(1)>"
TOLD = {
    *("photo", "kind", "name", "runtime", "cpu", "log"),
    *("reason", "machine", "by", "command", "weights", "edgekit"),
}


def hostile(value, key=""):
    """The values of a result, with markup in place of all that a page tells."""
    if isinstance(value, dict):
        return {name: hostile(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [hostile(each, key) for each in value]
    told = isinstance(value, str) and key in TOLD and value not in {"export", "verify", "bench"}
    return HOSTILE if told else value


def test_a_results_folder_of_someone_else_adds_no_markup(overview, matrix, results):
    sound = Page(page_from(overview, None, results=results))
    for file in results.glob("*.json"):
        file.write_text(json.dumps(hostile(json.loads(file.read_text()))))
    shown = matrix(FakeFleet(), models=(), targets=())
    text = page_from(shown, None, results=results)
    page = Page(text)
    assert text.count("&lt;script&gt;alert(") > 50
    assert set(page.tags) <= set(sound.tags)
    assert "49" not in "".join(re.findall(r"alert\(.*?\)", text))
    assert page.outside == []
    for render in (csv_from, junit_from, lambda overview: markdown_from(overview, None)):
        assert render(shown)


def test_a_cell_of_the_matrix_shows_all_figures_or_a_dash(overview):
    cells = Cells(page_from(overview, None)).cells
    head, pytorch, nanosam, mobilesam = cells
    assert head == ["model", "jetson-fp16", "x86-fp32", "x86-int8"]
    assert pytorch[0] == "nanosam PyTorch"
    assert pytorch[2] == "reference encoder 1,010 ms 50 prompts 1,010 ms weights 1.0 MB"
    times = "\N{MULTIPLICATION SIGN}"
    fast = f"encoder 101 ms 10.0{times} 50 prompts 101 ms 10.0{times} files 12.3 MB"
    assert nanosam[0] == "nanosam random weights"
    assert nanosam[2] == f"passed native min IoU 0.99910 {fast}"
    assert nanosam[3] == f"gate failed min IoU 0.50000 {fast}"
    assert mobilesam[1:] == [
        "timed out export was stopped after 2 s",
        "refused <script>alert(1)</script> | `x` ]]>\x1b[31m",
        "could not run edgekit has a bug: =1+1",
    ]


def survey_rows(page: str) -> list[str]:
    """The rows of the survey's table, as text."""
    table = page[page.index('<table class="survey">') :]
    rows = re.findall("<tr>(.*?)</tr>", table[: table.index("</table>")], flags=re.DOTALL)
    return [" ".join(re.sub("<[^>]*>", " ", row).split()) for row in rows]


def test_the_survey_has_what_was_measured_and_says_what_was_not_run(matrix, tmp_path):
    asked = {"measures": tuple(Measure), "photos": str(write_coco(tmp_path / "coco"))}
    overview = matrix(FakeFleet(OUTCOMES), **asked)
    head, kinds, emulated, *_, mobilesam = survey_rows(page_from(overview, None))
    assert head.startswith("model params GMACs EER target latency (ms), boxes photos/s memory")
    assert kinds.startswith("10 20 30 40 50 one point one random point")
    assert emulated == (
        "nanosam random weights 19.9 M 43.6 0.023 jetson-fp16 101 101 101 101 101 9.90 not run "
        "0.520 0.560 0.570 0.580 0.500 0.590"
    )
    assert mobilesam == "mobilesam random weights 10.1 M 38.8 0.014 -" + " not run" * 13


def test_a_survey_without_measurements_says_how_to_have_them(matrix):
    page = page_from(matrix(FakeFleet(), models=("nanosam",)), None)
    assert survey_rows(page)[2:] == ["nanosam random weights 19.9 M 43.6 0.023"]
    for measure in ("--measure verify,bench", "--measure verify,evaluate --photos COCO.json"):
        assert f"not run ({measure})" in page


def test_without_times_there_is_no_row_of_pytorch_and_no_dash_for_each_time(matrix):
    page = page_from(matrix(FakeFleet()), None)
    assert "PyTorch<" not in page
    assert Cells(page).cells[1][1] == "passed native min IoU 0.99910 files 12.3 MB"


def test_the_worst_prompts_are_pictured(overview, results):
    page = Page(page_from(overview, None, results=results))
    assert page.outside == [f"data:image/jpeg;base64,{b64encode(jpeg()).decode()}"] * 3
    for picture in results.glob("nanosam--x86-int8*.jpg"):
        picture.write_bytes(b"<svg onload=alert(1)>")
    assert len(Page(page_from(overview, None, results=results)).outside) == 2


def test_the_spread_of_ious_is_drawn(overview):
    text = page_from(overview, None)
    assert text.count('<i style="width: 100.0%"></i>') == 6, "two bars of each cell of nanosam"


def test_plots_show_each_timed_cell_of_a_machine_and_take_the_pages_colours(overview):
    pytest.importorskip("matplotlib")
    text = page_from(overview, None)
    page = Page(text)
    assert page.tags.count("svg") == 2
    assert text.count('xlink:href="#nanosam-seeded-x86-fp32-local"') == 2
    plots = "".join(re.findall("<svg.*?</svg>", text, flags=re.DOTALL))
    assert plots.count("<title>nanosam for x86-fp32</title>") == 2
    assert "mobilesam" not in plots, "it was not timed"
    assert "#000001" not in text
    for colour in ("currentColor", "var(--accent)", "var(--line)"):
        assert colour in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_without_matplotlib_the_table_stands_alone(overview, monkeypatch):
    monkeypatch.setattr("edgekit.matrix.report.page.can_draw", lambda: False)
    text = page_from(overview, None)
    assert "<svg" not in text
    assert "pip install 'edgekit[plots]'" in text
    assert "nanosam for x86-fp32" in text


@pytest.mark.slow
def test_the_page_tells_what_changed(overview, changes):
    assert "minimum IoU 0.50000 is below 0.99" in page_from(overview, changes)
    assert "Nothing changed." in page_from(overview, ())
    assert "Changed since" not in page_from(overview, None)


def test_a_reason_that_stops_several_cells_is_told_once(matrix):
    same = export_error("RuntimeMissing", "torch is missing")
    overview = matrix(FakeFleet({"nanosam/x86-fp32": same, "nanosam/x86-int8": same}))
    page = page_from(overview, None)
    assert "2 cells:" in page
    assert page.count("</span> torch is missing<br>") == 1


def test_an_empty_folder_has_a_page(matrix, results):
    results.mkdir()
    overview = matrix(FakeFleet(), models=(), targets=())
    for render in (csv_from, junit_from):
        assert render(overview)
    assert "Matrix" in page_from(overview, ())
    assert markdown_from(overview, ())


def test_without_jinja_a_report_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RuntimeMissing) as error:
        require_report(tmp_path)
    assert error.value.next_step == "pip install 'edgekit[report]'"


@pytest.mark.slow
def test_a_browser_shows_each_cell(overview, changes, results, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium here: apt-get install chromium")
    page = tmp_path / "report.html"
    page.write_text(page_from(overview, changes, results=results), encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=1000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = Page(done.stdout)
    assert len(shown.outside) == 3, "pictures"
    assert {pair: text.partition("\n")[0] for pair, text in shown.sections.items()} == STATES


# --- the others -----------------------------------------------------------------------------------


def test_markdown(overview, changes):
    text = markdown_from(overview, changes)
    lines = text.splitlines()
    assert "**1** passed native" in text
    assert "| model | jetson-fp16 | x86-fp32 | x86-int8 |" in lines
    row = next(line for line in lines if line.startswith("| nanosam (seeded)"))
    assert "🟢 passed native · 0.99910 · 101 ms · 101 ms · 12.3 MB" in row
    assert lines[lines.index(row) - 1].startswith("| nanosam, PyTorch | ")
    assert "| reference · 1,010 ms · 1,010 ms · 1.0 MB |" in lines[lines.index(row) - 1]
    assert "🔴 timed out · - · - · - · - |" in text
    assert "🔴 gate failed · 0.50000" in row
    assert "\\<script\\>" in text
    assert "<script>" not in text
    assert {line.count(" | ") for line in lines if line.startswith(("| model | ", "| nano"))} == {3}
    assert "### Changed since the earlier results" in lines


def test_junit(overview):
    root = ElementTree.fromstring(junit_from(overview).encode())
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    tags = {pair: [child.tag for child in case] for pair, case in cases.items()}
    assert tags == {
        ("nanosam", "x86-fp32 (seeded)"): ["system-out"],
        ("nanosam", "x86-int8 (seeded)"): ["failure", "system-out"],
        ("nanosam", "jetson-fp16 (seeded)"): ["system-out"],
        ("mobilesam", "x86-fp32 (seeded)"): ["error", "system-out"],
        ("mobilesam", "x86-int8 (seeded)"): ["error", "system-out"],
        ("mobilesam", "jetson-fp16 (seeded)"): ["error", "system-out"],
    }
    (nanosam, mobilesam) = root
    assert (nanosam.get("tests"), nanosam.get("failures"), nanosam.get("errors")) == ("3", "1", "0")
    assert mobilesam.get("errors") == "3"


def test_csv(overview):
    rows = list(csv.DictReader(io.StringIO(csv_from(overview))))
    assert {(row["model"], row["target"]): row["state"] for row in rows} == STATES
    told = {(row["model"], row["target"]): row for row in rows}
    native = told["nanosam", "x86-fp32"]
    assert float(native["min_iou"]) == 0.9991
    assert float(native["encoder_s"]) == pytest.approx(0.101)
    assert float(native["pytorch_encoder_s"]) == pytest.approx(1.01)
    assert int(native["bytes"]) == 12_300_000
    assert told["mobilesam", "x86-fp32"]["min_iou"] == ""
    assert float(native["photo_50_s"]) == pytest.approx(0.101)
    assert float(native["photos_per_second"]) == pytest.approx(1 / 0.101)
    assert {row["parameters"] for row in rows} == {"19895664", "10130092"}
    assert not [row for row in rows if row["reason"].startswith("=")]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n@"])
def test_no_text_of_a_csv_is_a_formula(matrix, results, start):
    matrix(FakeFleet(), models=("nanosam",), targets=("x86-fp32",))
    (file,) = results.glob("*.json")
    result = json.loads(file.read_text())
    result["identity"]["host"]["label"] = result["started"] = f"{start}SUM(1)"
    result["cell"]["weights"] = [f"{start}SUM(1)"]
    file.write_text(json.dumps(result))
    (row,) = csv.DictReader(io.StringIO(csv_from(matrix(FakeFleet(), models=(), targets=()))))
    assert {row["host"], row["started"], row["weights"]} == {f"'{start.strip()}SUM(1)"}


def test_times_of_a_stand_in_are_not_shown_as_the_runtimes(matrix, monkeypatch):
    from tests.matrix import fakes

    original = fakes.bench
    monkeypatch.setattr(
        fakes, "bench", lambda name, seconds: original(name, seconds, execution="emulated by NumPy")
    )
    overview = matrix(FakeFleet(), measures=(Measure.VERIFY, Measure.BENCH))
    assert "101 ms" not in markdown_from(overview, None)
    assert "emulated by NumPy" in csv_from(overview)


def test_all_renderings_are_written(overview, changes, tmp_path):
    written = write_report(tmp_path / "a" / "report", overview, changes)
    assert [path.name for path in written] == [
        "report.html",
        "summary.md",
        "junit.xml",
        "cells.csv",
    ]
    assert all(path.read_text(encoding="utf-8") for path in written)


def test_a_report_folder_that_is_a_file(overview, tmp_path):
    (tmp_path / "report").write_text("")
    with pytest.raises(BadInput, match="cannot be written: File exists"):
        write_report(tmp_path / "report", overview, None)


def test_a_run_loads_no_jinja(tmp_path: Path):
    code = (
        "import sys, edgekit.matrix, edgekit.matrix.report\n"
        "assert not {'jinja2', 'torch', 'rich', 'typer'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
