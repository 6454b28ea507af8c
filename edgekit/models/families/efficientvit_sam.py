"""EfficientViT-SAM: five EfficientViT encoders under SAM's decoder.

Sources: Zhang et al., arXiv 2402.05008; mit-han-lab/efficientvit. The L variants take photos of 512
pixels, but their prompts and masks refer to SAM's frame of 1024. The epsilon of every norm is 1e-6,
also in the decoder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.records import CheckpointFile, ClientContract, ModelRow

if TYPE_CHECKING:
    from torch import nn

CLIENT_512 = replace(
    SAM_CLIENT,
    preprocessing=replace(SAM_CLIENT.preprocessing, frame=512),
    prompts=replace(SAM_CLIENT.prompts, frame=1024),
)


def _row(
    variant: str, *, parameters: int, encoder_gmacs: float, sha256: str, client: ClientContract
) -> ModelRow:
    filename = f"efficientvit_sam_{variant}.pt"
    return ModelRow(
        name=f"efficientvit_sam_{variant}",
        family="efficientvit-sam",
        variant=variant,
        title=f"EfficientViT-SAM-{variant.upper()}",
        paper="https://arxiv.org/abs/2402.05008",
        licence="Apache-2.0",
        parameters=parameters,
        encoder_gmacs=encoder_gmacs,
        builder="edgekit.models.families.efficientvit_sam:build",
        size=variant,
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(
            CheckpointFile(
                filename=filename,
                url=f"https://huggingface.co/mit-han-lab/efficientvit-sam/resolve/main/{filename}",
                sha256=sha256,
                bytes=None,
                licence="Apache-2.0",
            ),
        ),
        client=client,
    )


ROWS = (
    _row(
        "l0",
        parameters=34_792_784,
        encoder_gmacs=34.8,
        sha256="c4f994b01a16d48bcf2fbbb089448cfbf58fae5811edfa8113c953b8b8cc64b8",
        client=CLIENT_512,
    ),
    _row(
        "l1",
        parameters=47_650_128,
        encoder_gmacs=49.1,
        sha256="fa151df2b9b96896accd505470755cdd293a4c50cdabac95478f3fbd86d9152b",
        client=CLIENT_512,
    ),
    _row(
        "l2",
        parameters=61_328_592,
        encoder_gmacs=68.6,
        sha256="d4bfd842224cbb99de09acc3325e81ac5b7e8725c8fbdab152305e5d934bfe4a",
        client=CLIENT_512,
    ),
    _row(
        "xl0",
        parameters=116_957_904,
        encoder_gmacs=184.9,
        sha256="9bc2f87bd23d6e6d1f7b5beff910f98835c7c333fac73e695bac0bec685968f8",
        client=SAM_CLIENT,
    ),
    _row(
        "xl1",
        parameters=203_346_128,
        encoder_gmacs=321.9,
        sha256="10f42277679427c1183dcff19758e536aa86bcc4304e4b387ff48865784be05c",
        client=SAM_CLIENT,
    ),
)


def build(size: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode; `size` is the variant's name."""
    from torch import nn

    from edgekit.models.encoders.efficientvit import EPSILON, SIZES, EfficientVitEncoder
    from edgekit.models.sam import SamDecoder

    decoder = SamDecoder()
    for module in decoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = EPSILON
    return EfficientVitEncoder(SIZES[size]).eval(), decoder.eval()
