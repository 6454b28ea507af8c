"""Renames tensors to upstream's names, which the definitions here use.

Three kinds of files differ: those of Hugging Face transformers (SlimSAM-uniform, and re-uploads of
SAM and SAM-HQ), MobileSAMv2's decoder, which spells its two parts differently, and SlimSAM's pickled modules,
which were saved under DataParallel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TRANSFORMERS_MARKS = ("vision_encoder.", "shared_image_embedding.")

Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


_SPELLINGS = _rules(
    (r"^PromtEncoder\.", "prompt_encoder."),  # MobileSAMv2's decoder file
    (r"^MaskDecoder\.", "mask_decoder."),
    (r"^image_encoder\.module\.", "image_encoder."),  # SlimSAM saved its encoder under DataParallel
)

# All rules are applied in this order. The names are those of transformers 5 (`SamModel`,
# `SamHQModel`).
_TRANSFORMERS = _rules(
    (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"^vision_encoder\.", "image_encoder."),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
    (r"\.neck\.conv1\.", ".neck.0."),
    (r"\.neck\.layer_norm1\.", ".neck.1."),
    (r"\.neck\.conv2\.", ".neck.2."),
    (r"\.neck\.layer_norm2\.", ".neck.3."),
    # Both modules share the matrix of the Fourier features; a file has one of the names, or both.
    (
        r"^(shared_image_embedding|prompt_encoder\.shared_embedding)\.positional_embedding$",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"(_mlps\.\d|iou_prediction_head)\.layers\.0\.", r"\1.layers.1."),
    (r"(_mlps\.\d|iou_prediction_head)\.proj_in\.", r"\1.layers.0."),
    (r"(_mlps\.\d|iou_prediction_head)\.proj_out\.", r"\1.layers.2."),
    # SAM-HQ's second mask (`SamHQModel`).
    (r"\.hq_token\.", ".hf_token."),
    (r"\.hq_mask_mlp\.proj_in\.", ".hf_mlp.layers.0."),
    (r"\.hq_mask_mlp\.layers\.0\.", ".hf_mlp.layers.1."),
    (r"\.hq_mask_mlp\.proj_out\.", ".hf_mlp.layers.2."),
    (r"\.compress_vit_conv1\.", ".compress_vit_feat.0."),
    (r"\.compress_vit_norm\.", ".compress_vit_feat.1."),
    (r"\.compress_vit_conv2\.", ".compress_vit_feat.3."),
    (r"\.encoder_conv1\.", ".embedding_encoder.0."),
    (r"\.encoder_norm\.", ".embedding_encoder.1."),
    (r"\.encoder_conv2\.", ".embedding_encoder.3."),
    (r"\.mask_conv1\.", ".embedding_maskfeature.0."),
    (r"\.mask_norm\.", ".embedding_maskfeature.1."),
    (r"\.mask_conv2\.", ".embedding_maskfeature.3."),
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
)


def upstream_names(names: Iterable[str]) -> dict[str, str]:
    """Maps the file's names to upstream's; most files have those already."""
    listed = tuple(names)
    transformers = any(name.startswith(_TRANSFORMERS_MARKS) for name in listed)
    rules = _TRANSFORMERS if transformers else _SPELLINGS
    return {name: _rename(name, rules) for name in listed}


def _rename(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = pattern.sub(replacement, name)
    return name
