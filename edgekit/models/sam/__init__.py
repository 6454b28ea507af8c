"""The Segment-Anything core that all families share: prompt encoder and two-way mask decoder.

137 tensors under SAM's own names (`prompt_encoder.*`, `mask_decoder.*`), so that the files of
MobileSAM, TinySAM, EdgeSAM, RepViT-SAM, EfficientViT-SAM and SlimSAM load unmodified.
Architecture: Kirillov et al., "Segment Anything", arXiv 2304.02643, appendix A.
"""

from edgekit.models.sam.decoder import SamDecoder

__all__ = ["SamDecoder"]
