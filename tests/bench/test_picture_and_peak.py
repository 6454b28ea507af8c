"""The picture shows every contestant; the peak is a plausible rate, the best of all turns."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from typer.testing import CliRunner

from edgekit.benchmark import Figures, machine_peak, picture
from edgekit.benchmark.figures import Task, timing_of
from edgekit.benchmark.machine_peak import MachinePeak, share_of_peak
from edgekit.benchmark.picture import Drawn, save_picture
from edgekit.cli import app
from edgekit.errors import RuntimeMissing
from edgekit.records import Precision
from edgekit.stages.measurement import notes_on, peak_shares

DRAWN = [
    Drawn(name="eager", seconds=1.2, iou=1.0, curve={1: 1.2, 10: 2.0, 50: 5.8}),
    Drawn(name="int8", seconds=0.2, iou=0.978, curve={1: 0.2, 10: 0.5, 50: 1.6}),
]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_the_picture_is_written_in_the_format_of_its_suffix(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"bench.{suffix}"
    save_picture(path, DRAWN, machine="2 threads")
    with Image.open(path) as image:
        assert image.size == (1100, 1100)
        assert image.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())


def test_every_contestant_has_a_dot_a_line_and_a_legend_entry() -> None:
    pytest.importorskip("matplotlib")
    figure = picture._picture(DRAWN, machine="2 threads, a CPU")
    above, below = figure.axes
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in above.lines]
    assert points == [(200, 0.978), (1200, 1.0)]  # milliseconds, fastest first
    curves = [dict(zip(*line.get_data(), strict=True)) for line in below.lines]
    assert curves == [DRAWN[1].curve, DRAWN[0].curve]
    styles = [[(line.get_color(), line.get_marker()) for line in a.lines] for a in figure.axes]
    assert styles[0] == styles[1]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["int8: 200 ms", "eager: 1200 ms"]
    assert above.get_title(loc="left").endswith("2 threads, a CPU")
    assert above.get_xlabel().endswith("(ms)")
    assert above.get_xlim() == (100, 2000)
    assert below.get_ylim()[0] == 0
    low, high = above.get_ylim()
    assert low < 0.978
    assert high > 1


@pytest.mark.parametrize("values", [[3.0], [11.0, 19.0], [0.4, 4000.0]])
def test_time_ticks_enclose_the_values(values: list[float]) -> None:
    ticks = picture.round_ticks(values)
    assert ticks[0] < min(values)
    assert ticks[-1] > max(values)
    assert all(f"{tick:.0e}"[0] in "125" for tick in ticks)


def test_without_matplotlib_a_plot_is_refused_before_any_timing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RuntimeMissing, match=r"edgekit\[plots\]"):
        save_picture(tmp_path / "bench.png", DRAWN, machine="")
    arguments = ["bench", str(tmp_path / "no-bundle"), "--plot", str(tmp_path / "bench.png")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert "pip install 'edgekit[plots]'" in result.stderr
    assert "no-bundle" not in result.stderr  # the bundle was not even opened


@pytest.mark.slow
def test_peak_of_this_machine() -> None:
    pytest.importorskip("openvino")
    peak = MachinePeak(1)
    peak.take_turn()
    assert set(peak.rates) == {Precision.FP32, Precision.BF16, Precision.INT8}
    assert all(1e9 < rate < 1e13 for rate in peak.rates.values())


class FakeLoad:
    """A load of 1e9 MACs that takes the given seconds, one after the other."""

    precision = Precision.FP32
    macs = 10**9

    def __init__(self, *seconds: float) -> None:
        self._seconds = iter(seconds)

    def seconds(self) -> float:
        return next(self._seconds)


def test_the_peak_is_the_best_of_all_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = FakeLoad(2.0, 0.5, 4.0), FakeLoad(1.0, 1.0, 1.0)
    monkeypatch.setattr(machine_peak, "_loads", lambda _: loads)
    peak = MachinePeak(2)
    rates = []
    for _ in range(3):
        peak.take_turn()
        rates.append(peak.rates[Precision.FP32])
    assert rates == [1e9, 2e9, 2e9]


def test_without_openvino_there_is_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    peak = MachinePeak(2)
    peak.take_turn()
    assert peak.rates == {}


def test_share_of_peak() -> None:
    peak = {Precision.FP32: 100e9}
    assert share_of_peak(40 * 10**9, 1.0, Precision.FP32, peak) == pytest.approx(0.4)
    assert share_of_peak(None, 1.0, Precision.FP32, peak) is None
    assert share_of_peak(40 * 10**9, 1.0, Precision.INT8, peak) is None


@pytest.mark.parametrize(("share", "notes"), [(0.97, 0), (1.0, 0), (2.09, 1)])
def test_a_share_above_the_whole_peak_is_explained(share: float, notes: int) -> None:
    said = notes_on({"nanosam-x86-int8": share})
    assert len(said) == notes
    assert all("nanosam-x86-int8 reached 209%" in note and "busier" in note for note in said)


def test_the_fastest_call_is_compared_with_the_peak() -> None:
    """As the peak is that of the fastest: the median of a busy machine says little."""
    artifact = SimpleNamespace(macs=10**9)
    target = SimpleNamespace(precision=Precision.FP32)
    bundle = SimpleNamespace(
        name="b", artifact=lambda _: artifact, manifest=SimpleNamespace(target=target)
    )
    timing = timing_of(Task.ENCODER, [0.5, 2.0, 2.0])
    figures = Figures(name="b", runtime="r", execution="native", bytes=1, timings=(timing,))
    assert peak_shares([bundle], [figures], {Precision.FP32: 4e9}) == {"b": 0.5}
