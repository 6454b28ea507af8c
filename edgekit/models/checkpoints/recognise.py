"""Recognises the family of a checkpoint by its keys, so that an error can name it."""

from __future__ import annotations

from collections.abc import Iterable

# (family, marks), from the special to the general: the first row whose marks all occur wins.
# A mark is the beginning of a key.
_MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("HQ-SAM 2", ("sam_mask_decoder.hf_token",)),
    ("EdgeTAM", ("spatial_perceiver.", "image_encoder.trunk.")),
    ("EfficientTAM", ("sam_mask_decoder.", "image_encoder.neck.convs.0.conv_1x1.")),
    ("SAM 2 or SAM 2.1", ("sam_mask_decoder.", "image_encoder.trunk.pos_embed_window")),
    ("SAM 3 (transformers names)", ("vision_encoder.", "text_encoder.")),
    ("SAM 3 tracker (transformers names)", ("vision_encoder.backbone.layers.", "mask_decoder.")),
    ("EdgeTAM (transformers names)", ("vision_encoder.backbone.timm_model.",)),
    ("SAM 2 (transformers names)", ("vision_encoder.backbone.blocks.",)),
    ("SAM-HQ (transformers names)", ("mask_decoder.hq_token.", "vision_encoder.")),
    ("SAM (transformers names)", ("shared_image_embedding.", "vision_encoder.")),
    ("Light HQ-SAM", ("mask_decoder.hf_token", "image_encoder.patch_embed.seq.")),
    ("SAM-HQ", ("mask_decoder.hf_token", "image_encoder.blocks.")),
    ("EdgeSAM", ("image_encoder.features.", "image_encoder.fuse_stage2.")),
    ("RepViT-SAM", ("image_encoder.features.",)),
    ("ESAM", ("image_encoder.backbone.stages.", "image_encoder.pyramid.")),
    ("EfficientViT-SAM", ("image_encoder.backbone.stages.",)),
    ("EfficientSAM", ("image_encoder.blocks.", "mask_decoder.iou_prediction_head.fc.")),
    ("SAM-Lightening", ("image_encoder.blocks.0.attn.multihead_attn.",)),
    ("SAM-Med3D", ("image_encoder.blocks.0.attn.rel_pos_d", "mask_decoder.")),
    ("FastSAM3D (encoder)", ("blocks.2.attn.rel_pos_d", "patch_embed.proj.")),
    ("SAM (ViT) or SlimSAM", ("image_encoder.blocks.", "mask_decoder.")),
    ("MobileSAM or TinySAM", ("image_encoder.patch_embed.seq.", "image_encoder.layers.")),
    ("MobileSAMv2 (decoder)", ("PromtEncoder.",)),
    ("MobileSAMv2 (encoder)", ("patch_embed.seq.", "layers.0.")),
    ("RWKV-SAM", ("backbone.conv_stages.", "backbone.layers.0.attn.spatial_decay")),
    ("NanoSAM (EfficientViT-B0)", ("backbone.stem_in_conv", "up_1.")),
    ("NanoSAM", ("backbone.layer1.", "up_1.")),
    ("RAP-SAM", ("neck.deconv.", "panoptic_head.")),
    ("SqueezeSAM", ("unet_encoder.",)),
    ("FastSAM (YOLOv8-seg)", ("model.0.conv.", "model.22.")),
)


def family_of(keys: Iterable[str]) -> str | None:
    """The family whose marks all occur among the keys, or None."""
    listed = tuple(keys)
    for family, marks in _MARKS:
        if all(any(key.startswith(mark) for key in listed) for mark in marks):
            return family
    return None
