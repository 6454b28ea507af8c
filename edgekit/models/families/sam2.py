"""SAM 2 and SAM 2.1, the image path: Hiera under SAM's decoder with an object score.

Sources: Ravi et al., arXiv 2408.00714; facebookresearch/sam2, `SAM2ImagePredictor`. Both versions
have the same image path. They differ in weights, and 2.1 has three more tensors for video. The
video path is not exported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.records import (
    CheckpointFile,
    ClientContract,
    EverythingRule,
    GraphContract,
    MaskChoice,
    MaskRule,
    ModelRow,
    Preprocessing,
    PromptRule,
    StableMask,
)

if TYPE_CHECKING:
    from torch import nn

CLIENT = ClientContract(
    preprocessing=Preprocessing(
        frame=1024,
        resample="float_antialiased",
        fit="squash",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    ),
    prompts=PromptRule(coordinate_scale="per_axis", padding_point="always"),
    masks=MaskRule(
        single=MaskChoice(
            masks=(1, 2, 3),
            keep="best",
            unless_stable=StableMask(index=0, offset=0.05, threshold=0.98),
        ),
        multimask=MaskChoice(masks=(1, 2, 3)),
        upscale="squashed",
        clamp=32.0,
    ),
    everything=EverythingRule(predicted_iou=0.8),  # sam2/automatic_mask_generator.py
)

OBJECT_GRAPH = GraphContract(answers=("low_res_masks", "iou_predictions", "object_scores"))
GRAPH = GraphContract(
    features=("image_embeddings", "high_res_features_0", "high_res_features_1"),
    answers=OBJECT_GRAPH.answers,
)

VIDEO_KEYS = (
    "mask_downsample.",
    "maskmem_tpos_enc",
    "memory_attention.",
    "memory_encoder.",
    "no_mem_pos_enc",
    "no_obj_embed_spatial",
    "no_obj_ptr",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
)


def _row(
    version: str,
    size: str,
    *,
    title: str,
    parameters: int,
    encoder_gmacs: float,
    file: tuple[str, str, int],
) -> ModelRow:
    folder, sha256, count = file
    stem = {"t": "tiny", "s": "small", "bplus": "base_plus", "l": "large"}[size]
    filename = f"{version}_hiera_{stem}.pt"
    return ModelRow(
        name=f"{version}_hiera_{size}",
        family=version,
        variant=f"hiera_{size}",
        title=title,
        paper="https://arxiv.org/abs/2408.00714",
        licence="Apache-2.0",
        parameters=parameters,
        encoder_gmacs=encoder_gmacs,
        builder="edgekit.models.families.sam2:build",
        size=size,
        encoder_prefix="",
        unused_keys=VIDEO_KEYS,
        checkpoints=(
            CheckpointFile(
                filename=filename,
                url=f"https://dl.fbaipublicfiles.com/segment_anything_2/{folder}/{filename}",
                sha256=sha256,
                bytes=count,
                licence="Apache-2.0",
            ),
        ),
        client=CLIENT,
        graph=GRAPH,
        forms=("state dict", "safetensors", "transformers"),
    )


ROWS = (
    _row(
        "sam2.1",
        "t",
        title="SAM 2.1 (Hiera-T)",
        parameters=38_962_498,
        encoder_gmacs=146.2,
        file=(
            "092824",
            "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
            156_008_466,
        ),
    ),
    _row(
        "sam2.1",
        "s",
        title="SAM 2.1 (Hiera-S)",
        parameters=46_060_354,
        encoder_gmacs=180.0,
        file=(
            "092824",
            "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
            184_416_285,
        ),
    ),
    _row(
        "sam2.1",
        "bplus",
        title="SAM 2.1 (Hiera-B+)",
        parameters=80_850_178,
        encoder_gmacs=323.4,
        file=(
            "092824",
            "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
            323_606_802,
        ),
    ),
    _row(
        "sam2.1",
        "l",
        title="SAM 2.1 (Hiera-L)",
        parameters=224_446_642,
        encoder_gmacs=911.4,
        file=(
            "092824",
            "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
            898_083_611,
        ),
    ),
    _row(
        "sam2",
        "t",
        title="SAM 2 (Hiera-T)",
        parameters=38_945_986,
        encoder_gmacs=146.2,
        file=(
            "072824",
            "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
            155_906_050,
        ),
    ),
    _row(
        "sam2",
        "s",
        title="SAM 2 (Hiera-S)",
        parameters=46_043_842,
        encoder_gmacs=180.0,
        file=(
            "072824",
            "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
            184_309_650,
        ),
    ),
    _row(
        "sam2",
        "bplus",
        title="SAM 2 (Hiera-B+)",
        parameters=80_833_666,
        encoder_gmacs=323.4,
        file=(
            "072824",
            "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
            323_493_298,
        ),
    ),
    _row(
        "sam2",
        "l",
        title="SAM 2 (Hiera-L)",
        parameters=224_430_130,
        encoder_gmacs=911.4,
        file=(
            "072824",
            "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b",
            897_952_466,
        ),
    ),
)


def build(size: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode; `size` names the Hiera."""
    from edgekit.models.encoders.fpn import FpnNeck
    from edgekit.models.encoders.hiera import SIZES, Hiera
    from edgekit.models.encoders.sam2 import Sam2Encoder
    from edgekit.models.sam.sam2_decoder import Sam2Decoder

    hiera = SIZES[size]
    neck = FpnNeck([hiera.width * 2**stage for stage in range(len(hiera.depths))])
    return Sam2Encoder(Hiera(hiera), neck).eval(), Sam2Decoder().eval()
