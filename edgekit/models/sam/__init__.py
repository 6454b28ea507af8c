"""SAM's prompt encoder and two-way mask decoder, which most families share.

Sources: Kirillov et al., arXiv 2304.02643, appendix A; facebookresearch/segment-anything. The 137
tensors keep SAM's names (`prompt_encoder.*`, `mask_decoder.*`), so the files of MobileSAM, TinySAM,
EdgeSAM, RepViT-SAM, EfficientViT-SAM and SlimSAM load unchanged.
"""

from edgekit.models.sam.decoder import SamDecoder

__all__ = ["SamDecoder"]
