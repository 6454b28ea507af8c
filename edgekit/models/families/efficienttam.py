"""EfficientTAM's image path: a plain ViT under SAM's decoder, with SAM 2's predictor.

Sources: Xiong et al., arXiv 2411.18933; yformer/EfficientTAM. The encoder gives one map and no
high-resolution features. Variants `_1` and `_2` attend to the memory of a video in other ways. The
video path is not exported, so here they differ in weights only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.models.families.sam2 import CLIENT, OBJECT_GRAPH, VIDEO_KEYS
from edgekit.records import CheckpointFile, ModelRow

if TYPE_CHECKING:
    from torch import nn

CLIENT_512 = replace(
    CLIENT,
    preprocessing=replace(CLIENT.preprocessing, frame=512),
    masks=replace(CLIENT.masks, side=128),
)
_SIZES = {"s": ("ViT-S", 34_055_842, 152.2, 31.6), "ti": ("ViT-Ti", 17_866_018, 54.6, 9.8)}
"""Backbone, parameters, and GMACs of the encoder with a frame of 1024 and of 512."""


def _row(variant: str, *, sha256: str | None, count: int | None = None) -> ModelRow:
    size, _, rest = variant.partition("_")
    backbone, parameters, large_gmacs, small_gmacs = _SIZES[size]
    small = rest == "512x512"
    filename = f"efficienttam_{variant}.pt"
    return ModelRow(
        name=f"efficienttam_{variant}",
        family="efficienttam",
        variant=variant,
        title=f"EfficientTAM ({backbone}{f', {rest}' if rest else ''})",
        paper="https://arxiv.org/abs/2411.18933",
        licence="Apache-2.0",
        parameters=parameters,
        encoder_gmacs=small_gmacs if small else large_gmacs,
        builder="edgekit.models.families.efficienttam:build",
        size=f"{size}_512" if small else size,
        encoder_prefix="",
        unused_keys=VIDEO_KEYS,
        checkpoints=(
            CheckpointFile(
                filename=filename,
                url=f"https://huggingface.co/yunyangx/efficient-track-anything/resolve/main/{filename}",
                sha256=sha256,
                bytes=count,
                licence="Apache-2.0",
            ),
        ),
        client=CLIENT_512 if small else CLIENT,
        graph=OBJECT_GRAPH,
    )


ROWS = (
    _row(
        "s",
        sha256="2b572be30d9e96ee29c8d785fe157c6b079ede7d56fbc8a3671d4120e63c89cd",
        count=136_375_868,
    ),
    _row("s_1", sha256="4fd5d1f7ae08a7e15086623bf8b12f0b111b773b15564b43c0a5d451fc1a4267"),
    _row("s_2", sha256="253e490b4a3d56eedd64e4d466155ec538d1289f52abe78b091b14caefd92343"),
    _row("s_512x512", sha256="67b5840012737ed2c94a4cb8787c5c1b27b3a946045d2e602e65ef77230b6085"),
    _row(
        "ti",
        sha256="acbb17b28cca1f860acee09c9ecb6efdb732080dc7a85a07292c31813175fa7d",
        count=71_616_316,
    ),
    _row("ti_1", sha256=None),
    _row("ti_2", sha256="d2a9ca0a736257ee9bb238d335ba7c794ad853e594cb4f679019ecc0854ee587"),
    _row("ti_512x512", sha256="7d4d652a465f0081391050932f45d8a66768ccc99c8ea393ce8a5927e83f3b9b"),
)


def build(size: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode; `size` names backbone and frame."""
    from edgekit.models.encoders.efficient_tam import SIZES, EfficientTamEncoder
    from edgekit.models.sam.sam2_decoder import ObjectDecoder

    encoder = EfficientTamEncoder(SIZES[size])
    return encoder.eval(), ObjectDecoder(frame=SIZES[size].frame).eval()
