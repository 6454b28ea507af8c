"""The picture shows every contestant; the peak is a plausible rate."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.benchmark.machine_peak import machine_peak, share_of_peak
from edgekit.benchmark.picture import Dot, latency_picture
from edgekit.records import Precision


def test_a_dot_and_a_legend_for_each():
    dots = [
        Dot(name="eager", seconds=1.2, iou=1.0),
        Dot(name="int8", seconds=0.2, iou=0.978),
    ]
    one, two = (np.asarray(latency_picture(dots[:n], title="two threads")) for n in (1, 2))
    red = (two == (214, 39, 40)).all(axis=2)
    assert 150 < red.sum() < 500
    assert not (one == (214, 39, 40)).all(axis=2).any()


def test_faster_lies_left_of_slower_and_better_above():
    dots = [Dot(name="a", seconds=0.1, iou=0.95), Dot(name="b", seconds=1.0, iou=0.999)]
    shown = np.asarray(latency_picture(dots, title=""))[:, :840]
    (y_a, x_a), (y_b, x_b) = (
        np.argwhere((shown == colour).all(axis=2)).mean(axis=0)
        for colour in ((31, 119, 180), (214, 39, 40))
    )
    assert x_a < x_b
    assert y_a > y_b


def test_peak_of_this_machine():
    pytest.importorskip("openvino")
    peak = machine_peak(1)
    assert set(peak) == {Precision.FP32, Precision.BF16, Precision.INT8}
    assert all(1e9 < rate < 1e13 for rate in peak.values())


def test_share_of_peak():
    peak = {Precision.FP32: 100e9}
    assert share_of_peak(40 * 10**9, 1.0, Precision.FP32, peak) == pytest.approx(0.4)
    assert share_of_peak(None, 1.0, Precision.FP32, peak) is None
    assert share_of_peak(40 * 10**9, 1.0, Precision.INT8, peak) is None
