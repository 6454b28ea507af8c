"""The picture shows every contestant; the peak is a plausible rate."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from edgekit.benchmark import picture
from edgekit.benchmark.machine_peak import machine_peak, share_of_peak
from edgekit.benchmark.picture import Dot, save_latency_picture
from edgekit.cli import app
from edgekit.errors import RuntimeMissing
from edgekit.records import Precision

DOTS = [
    Dot(name="eager", seconds=1.2, iou=1.0),
    Dot(name="int8", seconds=0.2, iou=0.978),
]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_the_picture_is_written_in_the_format_of_its_suffix(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"bench.{suffix}"
    save_latency_picture(path, DOTS, title="2 threads")
    with Image.open(path) as image:
        assert image.size == (1100, 640)
        assert image.format == {"jpg": "JPEG"}.get(suffix, suffix.upper())


def test_every_contestant_has_a_dot_and_a_legend_entry() -> None:
    pytest.importorskip("matplotlib")
    figure = picture._latency_figure(DOTS, title="2 threads, a CPU")
    (axes,) = figure.axes
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines]
    assert points == [(200, 0.978), (1200, 1.0)]  # milliseconds, fastest first
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["int8: 200 ms", "eager: 1200 ms"]
    assert axes.get_title(loc="left") == "2 threads, a CPU"
    assert axes.get_xlabel().endswith("(ms)")
    assert axes.get_xlim() == (100, 2000)
    low, high = axes.get_ylim()
    assert low < 0.978
    assert high > 1


@pytest.mark.parametrize("values", [[3.0], [11.0, 19.0], [0.4, 4000.0]])
def test_time_ticks_enclose_the_values(values: list[float]) -> None:
    ticks = picture._ticks(values)
    assert ticks[0] < min(values)
    assert ticks[-1] > max(values)
    assert all(f"{tick:.0e}"[0] in "125" for tick in ticks)


def test_without_matplotlib_a_plot_is_refused_before_any_timing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RuntimeMissing, match=r"edgekit\[plots\]"):
        save_latency_picture(tmp_path / "bench.png", DOTS, title="")
    arguments = ["bench", str(tmp_path / "no-bundle"), "--plot", str(tmp_path / "bench.png")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert "pip install 'edgekit[plots]'" in result.stderr
    assert "no-bundle" not in result.stderr  # the bundle was not even opened


@pytest.mark.slow
def test_peak_of_this_machine() -> None:
    pytest.importorskip("openvino")
    peak = machine_peak(1)
    assert set(peak) == {Precision.FP32, Precision.BF16, Precision.INT8}
    assert all(1e9 < rate < 1e13 for rate in peak.values())


def test_share_of_peak() -> None:
    peak = {Precision.FP32: 100e9}
    assert share_of_peak(40 * 10**9, 1.0, Precision.FP32, peak) == pytest.approx(0.4)
    assert share_of_peak(None, 1.0, Precision.FP32, peak) is None
    assert share_of_peak(40 * 10**9, 1.0, Precision.INT8, peak) is None
