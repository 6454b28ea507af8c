"""How much work the image encoders are: multiply-accumulates of one photo, in units of 1e9.

Counted by torch's flop counter (a product counts two flops), matrix products of attention included,
on the definitions at their own frame. A table, since counting needs torch and listing models must
not; `measured` makes an entry.
"""

from __future__ import annotations

from edgekit.records import ModelRow

ENCODER_GMACS: dict[str, float] = {
    "nanosam": 43.6,
    "mobilesam": 38.8,
    "mobilesamv2_vit_t": 38.8,
    "mobilesamv2_efficientvit_l2": 68.6,
    "mobilesamv2_vit_h": 2980.5,
    "tinysam": 38.8,
    "sam_vit_b": 486.0,
    "sam_vit_l": 1492.8,
    "sam_vit_h": 2980.5,
    "samfast_vit_b": 486.0,
    "slimsam_50": 153.5,
    "slimsam_77": 46.6,
    "slimsam_global_50": 153.5,
    "slimsam_global_77": 46.6,
    "supersam": 278.9,
    "edgesam": 20.1,
    "edgesam_3x": 20.1,
    "repvit_sam": 113.3,
    "efficientvit_sam_l0": 34.8,
    "efficientvit_sam_l1": 49.1,
    "efficientvit_sam_l2": 68.6,
    "efficientvit_sam_xl0": 184.9,
    "efficientvit_sam_xl1": 321.9,
    "efficientsam_ti": 102.3,
    "efficientsam_s": 245.6,
    "hqsam_vit_tiny": 40.4,
    "hqsam_vit_b": 490.2,
    "hqsam_vit_l": 1498.1,
    "hqsam_vit_h": 2986.8,
    "sam2.1_hiera_t": 146.2,
    "sam2.1_hiera_s": 180.0,
    "sam2.1_hiera_bplus": 323.4,
    "sam2.1_hiera_l": 911.4,
    "sam2_hiera_t": 146.2,
    "sam2_hiera_s": 180.0,
    "sam2_hiera_bplus": 323.4,
    "sam2_hiera_l": 911.4,
    "edgetam": 19.4,
    "efficienttam_s": 152.2,
    "efficienttam_s_1": 152.2,
    "efficienttam_s_2": 152.2,
    "efficienttam_s_512x512": 31.6,
    "efficienttam_ti": 54.6,
    "efficienttam_ti_1": 54.6,
    "efficienttam_ti_2": 54.6,
    "efficienttam_ti_512x512": 9.8,
    "fastsam_s": 51.1,
    "fastsam_x": 422.6,
}


def measured(row: ModelRow) -> float:
    """Count one encoder's work: no memory is taken, nothing is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from edgekit.models.checkpoints.fit import build

    frame = row.client.preprocessing.frame
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad():
        encoder, _ = build(row)
        with counter:
            encoder(torch.empty(1, 3, frame, frame))
    return counter.get_total_flops() / 2e9
