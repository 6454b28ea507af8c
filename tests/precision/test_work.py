from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from edgekit.program.work import macs_by_node


def test_macs_are_half_of_torchs_flops(tiny) -> None:
    encoder = tiny().encoder
    with FlopCounterMode(display=False) as counter:
        encoder.exported.module()(torch.zeros(1, 3, 256, 256))
    assert sum(macs_by_node(encoder).values()) * 2 == counter.get_total_flops()


def test_the_decoder_is_counted_for_one_prompt_of_two_points(tiny) -> None:
    decoder = tiny().decoder
    feeds = [
        torch.zeros(1, 8, 64, 64),
        torch.zeros(1, 2, 2),
        torch.zeros(1, 2),
        torch.zeros(1, 1, 256, 256),
        torch.zeros(1),
    ]
    with FlopCounterMode(display=False) as counter:
        decoder.exported.module()(*feeds)
    counted = macs_by_node(decoder)
    assert counted["matmul"] == 2 * 2 * 4
    assert counted["conv_transpose2d"] == 8 * 8 * 256 * 256
    assert sum(counted.values()) * 2 == counter.get_total_flops()
