"""BF16 where it pays and does no harm: the encoder, while the decoder stays FP32.

BF16 has 8 bits of mantissa. Measured on the CPU with OpenVINO, mask IoU against PyTorch of the
bundled NanoSAM on 6 photos (mean and 5th percentile): both halves in BF16 0.982 and 0.949; the
decoder's angles in FP32, which BF16 resolves to 4 pixels, 0.986 and 0.972; the decoder in BF16
alone 0.987 and 0.972; the encoder alone 0.996 and 0.991. The decoder's products of tokens and image
decide on which side of 0 a logit lies, so it is kept whole; most of a photo's work is the
encoder's. BF16 has the range of FP32: nothing overflows, no ranges are needed.
"""

from __future__ import annotations

from edgekit.graph.capture import Program
from edgekit.precision.plan import planned
from edgekit.records import PartPlan, Precision

_DECODER = (
    "8 bits of mantissa move the edges of masks: mean IoU 0.987 with NanoSAM's decoder in BF16"
)


def plan_bf16(encoder: Program, decoder: Program) -> tuple[PartPlan, PartPlan]:
    """The plans of both programs."""
    return (
        planned(encoder, lambda _: (Precision.BF16, None)),
        planned(decoder, lambda _: (Precision.FP32, _DECODER)),
    )
