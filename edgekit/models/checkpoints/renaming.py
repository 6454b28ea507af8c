"""Renames tensors to upstream's names, which the definitions here use.

Three kinds of files differ: those of Hugging Face transformers (SlimSAM-uniform, and re-uploads of
SAM, SAM-HQ, SAM 2 and EdgeTAM), MobileSAMv2's decoder, which spells its two parts differently, and
SlimSAM's pickled modules, which were saved under DataParallel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch
from edgekit.store import printable

if TYPE_CHECKING:
    from torch import Tensor

# Any of these decides, so that a file of one part is renamed too. The Fourier features' matrix
# (`shared_image_embedding`) decides nothing: files under upstream's names hold copies of it.
_TRANSFORMERS_MARKS = (
    "vision_encoder.",
    "mask_decoder.upscale_conv1.",
    "prompt_encoder.point_embed.",
    "prompt_encoder.mask_embed.",
)

Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


# Both modules share the matrix of the Fourier features; a file has one of the names, or both.
_POSITIONS = _rules(
    (
        r"^(shared_image_embedding|prompt_encoder\.shared_embedding)\.positional_embedding$",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
)
_UNTIED = (
    "prompt_encoder.shared_embedding.positional_embedding",
    "shared_image_embedding.positional_embedding",
)
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


# The names of transformers 5 (`Sam2Model`, `EdgeTamModel` and their video models); the last lines
# are of video only. EdgeTAM's trunk is timm's RepViT-M1, under timm's names in both projects.
_TRANSFORMERS_SAM2 = _rules(
    (r"^vision_encoder\.backbone\.timm_model\.", "image_encoder.trunk.body."),
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.neck\.convs\.(\d)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
    (r"\.mlp\.proj_in\.", ".mlp.layers.0."),
    (r"\.mlp\.proj_out\.", ".mlp.layers.1."),
    (r"\.o_proj\.", ".out_proj."),
    (r"(pred_obj_score_head)\.layers\.0\.", r"\1.layers.1."),
    (r"(pred_obj_score_head)\.proj_in\.", r"\1.layers.0."),
    (r"(pred_obj_score_head)\.proj_out\.", r"\1.layers.2."),
    (r"^mask_decoder\.", "sam_mask_decoder."),
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"^memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
    (r"^no_memory_positional_encoding$", "no_mem_pos_enc"),
    (r"^no_object_pointer$", "no_obj_ptr"),
    (r"^object_pointer_proj\.", "obj_ptr_proj."),
    (r"^occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
    (r"^temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
)
_SAM2_PROMPTS = _rules((r"^prompt_encoder\.", "sam_prompt_encoder."))
_SAM2_MARKS = (
    "vision_encoder.backbone.blocks.",
    "vision_encoder.backbone.timm_model.",
    "no_memory_embedding",
    "mask_decoder.conv_s0.",
    "mask_decoder.obj_score_token.",
)
# `point_embed.weight` [4, 256] is four tensors upstream; `split_tables` makes the names.
_MOST_ROWS = 4
_TABLE = re.compile(r"(^|\.)prompt_encoder\.point_embed\.weight$")


def split_tables(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with SAM 2's table of point embeddings [N, C] as N tensors [1, C]."""
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if _TABLE.search(name) and tensor.ndim == 2 and tensor.shape[0] <= _MOST_ROWS:
            stem = name.removesuffix("weight")
            result |= {f"{stem}{i}.weight": tensor[i : i + 1] for i in range(tensor.shape[0])}
        else:
            result[name] = tensor
    return result


def upstream_names(names: Iterable[str]) -> dict[str, str]:
    """Maps the file's names to upstream's; most files have those already."""
    listed = tuple(names)
    rules = _rules_for(listed)
    return {name: _rename(name, rules) for name in listed}


def _rules_for(names: Sequence[str]) -> Rules:
    def any_starts(marks: str | tuple[str, ...]) -> bool:
        return any(name.startswith(marks) for name in names)

    if any_starts(_SAM2_MARKS):
        return (*_TRANSFORMERS_SAM2, *_POSITIONS, *_TRANSFORMERS, *_SAM2_PROMPTS)
    if any_starts(_TRANSFORMERS_MARKS):
        return (*_POSITIONS, *_TRANSFORMERS)
    return (*_SPELLINGS, *_POSITIONS, *(_SAM2_PROMPTS if any_starts("sam_") else ()))


def with_one_matrix(
    tensors: Mapping[str, Tensor], *, file: str
) -> tuple[Mapping[str, Tensor], str | None]:
    """The tensors with one matrix of the Fourier features, and a note if a second one differed.

    transformers ties the two matrices of SAM, but not those of SAM 2 and EdgeTAM: they are equal in
    every file that was converted from published weights, and differ in a model trained from none.
    """
    inner, outer = _UNTIED
    untied = any(name.startswith(_SAM2_MARKS) for name in tensors)
    if not untied or not tensors.keys() >= {inner, outer}:
        return tensors, None
    if _equal(tensors[inner], tensors[outer]):
        return tensors, None
    note = f"{file}: {outer} and {inner} differ, and the model has one: took the former."
    return {name: tensor for name, tensor in tensors.items() if name != inner}, note


def require_agreement(tensors: Mapping[str, Tensor], *, file: str) -> None:
    """Raise CheckpointMismatch if two tensors become one of the model's and differ."""
    first: dict[str, str] = {}
    for name, own in upstream_names(tensors).items():
        other = first.setdefault(own, name)
        if other != name and not _equal(tensors[other], tensors[name]):
            raise CheckpointMismatch(
                f"{file}: {printable(other)} and {printable(name)} are the same tensor of the "
                "model, and their numbers differ.",
                expected="one of them, or equal numbers",
                next_step="delete from the file the one that the model was not trained with",
            )


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one == other).all())


def _rename(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = pattern.sub(replacement, name)
    return name
