"""Conversion to and from 8-bit codes."""

from __future__ import annotations

import torch


def test_quantize_rounds_half_to_even_and_clamps(run) -> None:
    numbers = [-100.0, -0.25, 0.25, 0.75, 1.25, 100.0]
    got = run("quantize", input=numbers, scale=0.5, zero_point=10, output_dtype="int8")
    assert (got.dtype, got.tolist()) == (torch.int8, [-128, 10, 10, 12, 12, 127])
    got = run("quantize", input=numbers, scale=0.5, zero_point=10, output_dtype="uint8")
    assert (got.dtype, got.tolist()) == (torch.uint8, [0, 10, 10, 12, 12, 210])


def test_quantize_without_a_zero_point(run) -> None:
    assert run("quantize", input=[-0.6, 0.6], scale=0.1, output_dtype="int8").tolist() == [-6, 6]


def test_per_slice_along_an_axis(run) -> None:
    given = {"scale": [1.0, 2.0], "zero_point": [0, 5], "axis": 1}
    codes = run("quantize", input=[[4.0, 4.0], [-4.0, -4.0]], output_dtype="int8", **given)
    assert codes.tolist() == [[4, 7], [-4, 3]]
    back = run("dequantize", input=codes, **given)
    assert (back.dtype, back.tolist()) == (torch.float32, [[4, 4], [-4, -4]])


def test_dequantize_does_not_overflow_its_codes(run) -> None:
    codes = torch.tensor([-128, 127], dtype=torch.int8)
    got = run("dequantize", input=codes, scale=1.0, zero_point=torch.tensor(127, dtype=torch.int8))
    assert got.tolist() == [-255, 0]
