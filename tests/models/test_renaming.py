"""Other publishers' tensor names become upstream's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.models.checkpoints.renaming import upstream_names

SPECS = Path(__file__).parents[3] / "shared" / "oracles" / "specs"


def test_transformers_names() -> None:
    given = {
        "prompt_encoder.mask_embed.conv1.bias": "prompt_encoder.mask_downscaling.0.bias",
        "shared_image_embedding.positional_embedding": (
            "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
        ),
        "vision_encoder.layers.3.layer_norm1.weight": "image_encoder.blocks.3.norm1.weight",
        "vision_encoder.neck.layer_norm2.bias": "image_encoder.neck.3.bias",
        "mask_decoder.iou_prediction_head.proj_in.bias": (
            "mask_decoder.iou_prediction_head.layers.0.bias"
        ),
        "mask_decoder.iou_prediction_head.layers.0.bias": (
            "mask_decoder.iou_prediction_head.layers.1.bias"
        ),
        "mask_decoder.transformer.layers.1.layer_norm4.bias": (
            "mask_decoder.transformer.layers.1.norm4.bias"
        ),
    }
    assert upstream_names(given) == given


def test_upstreams_names_do_not_change() -> None:
    names = ["mask_decoder.iou_prediction_head.layers.0.bias", "image_encoder.blocks.0.norm1.bias"]
    assert list(upstream_names(names).values()) == names


@pytest.mark.parametrize(
    "given",
    [
        {"mask_decoder.upscale_conv1.bias": "mask_decoder.output_upscaling.0.bias"},
        {"prompt_encoder.point_embed.0.weight": "prompt_encoder.point_embeddings.0.weight"},
        {
            "mask_decoder.obj_score_token.weight": "sam_mask_decoder.obj_score_token.weight",
            "mask_decoder.upscale_conv1.bias": "sam_mask_decoder.output_upscaling.0.bias",
        },
    ],
)
def test_a_file_of_one_part_is_renamed_too(given: dict[str, str]) -> None:
    assert upstream_names(given) == given


MATRIX = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
COPY = "shared_image_embedding.positional_embedding"
INNER = "prompt_encoder.shared_embedding.positional_embedding"


@pytest.mark.parametrize(
    "others",
    [
        ["image_encoder.neck.0.weight", "mask_decoder.iou_prediction_head.layers.0.bias"],
        ["mask_decoder.iou_token.weight"],
        ["vision_encoder.neck.conv1.weight"],
        [],
    ],
    ids=["SAM", "SAM's decoder", "transformers", "the matrix alone"],
)
@pytest.mark.parametrize("pair", [(MATRIX, COPY), (COPY, INNER), (INNER, MATRIX)])
@pytest.mark.parametrize("order", [1, -1])
def test_two_values_of_one_tensor_are_refused_by_name(
    others: list[str], pair: tuple[str, str], order: int
) -> None:
    torch = pytest.importorskip("torch", reason="tensors are compared with PyTorch")
    from edgekit.errors import CheckpointMismatch
    from edgekit.models.checkpoints.renaming import require_agreement

    file = dict.fromkeys((*others, *pair[::order]), torch.ones(2, 128))
    require_agreement(file, file="a.pt")
    for other in (torch.zeros(2, 128), torch.ones(2, 64)):
        with pytest.raises(CheckpointMismatch, match="differ") as error:
            require_agreement(file | {pair[0]: other}, file="a.pt")
        assert all(name in error.value.what for name in pair)


def test_a_file_with_two_values_of_one_tensor_is_not_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch")
    from edgekit.errors import CheckpointMismatch
    from edgekit.models.checkpoints.read import read_tensors

    torch.save({MATRIX: torch.ones(2, 128), COPY: torch.zeros(2, 128)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointMismatch, match=rf"a\.pt: {MATRIX} and {COPY} are the same"):
        read_tensors(tmp_path / "a.pt")


@pytest.mark.parametrize("mark", ["no_memory_embedding", "mask_decoder.conv_s0.weight"])
def test_the_untied_matrices_of_sam2_are_one_with_a_word(mark: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch")
    from edgekit.models.checkpoints.read import read_checkpoint

    tensors = {COPY: torch.ones(2, 128), INNER: torch.zeros(2, 128), mark: torch.ones(1)}
    for order in (tensors, dict(reversed(tensors.items()))):
        torch.save(order, tmp_path / "a.pt")
        checkpoint = read_checkpoint([str(tmp_path / "a.pt")])
        assert checkpoint.tensors.keys() == {COPY, mark}
        (note,) = checkpoint.notes
        assert COPY in note
        assert INNER in note
    torch.save(tensors | {INNER: tensors[COPY]}, tmp_path / "a.pt")
    assert not read_checkpoint([str(tmp_path / "a.pt")]).notes


def test_a_copy_of_the_matrix_does_not_change_the_other_names() -> None:
    names = upstream_names([MATRIX, COPY, "mask_decoder.iou_prediction_head.layers.0.bias"])
    assert names[COPY] == MATRIX
    assert names["mask_decoder.iou_prediction_head.layers.0.bias"].endswith("layers.0.bias")


def test_names_of_mobilesam_v2() -> None:
    assert upstream_names(
        ["PromtEncoder.no_mask_embed.weight", "MaskDecoder.iou_token.weight"]
    ) == {
        "PromtEncoder.no_mask_embed.weight": "prompt_encoder.no_mask_embed.weight",
        "MaskDecoder.iou_token.weight": "mask_decoder.iou_token.weight",
    }


def test_transformers_names_of_sam_hq() -> None:
    given = {
        "vision_encoder.neck.conv1.weight": "image_encoder.neck.0.weight",
        "shared_image_embedding.positional_embedding": (
            "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
        ),
        "mask_decoder.hq_token.weight": "mask_decoder.hf_token.weight",
        "mask_decoder.hq_mask_mlp.proj_in.bias": "mask_decoder.hf_mlp.layers.0.bias",
        "mask_decoder.hq_mask_mlp.layers.0.bias": "mask_decoder.hf_mlp.layers.1.bias",
        "mask_decoder.hq_mask_mlp.proj_out.bias": "mask_decoder.hf_mlp.layers.2.bias",
        "mask_decoder.compress_vit_conv2.bias": "mask_decoder.compress_vit_feat.3.bias",
        "mask_decoder.encoder_norm.bias": "mask_decoder.embedding_encoder.1.bias",
        "mask_decoder.mask_conv1.bias": "mask_decoder.embedding_maskfeature.0.bias",
        "prompt_encoder.mask_embed.conv1.bias": "prompt_encoder.mask_downscaling.0.bias",
    }
    assert upstream_names(given) == given


def test_transformers_names_of_sam2() -> None:
    given = {
        "no_memory_embedding": "no_mem_embed",
        "vision_encoder.backbone.pos_embed_window": "image_encoder.trunk.pos_embed_window",
        "vision_encoder.backbone.blocks.1.layer_norm1.bias": (
            "image_encoder.trunk.blocks.1.norm1.bias"
        ),
        "vision_encoder.backbone.blocks.1.mlp.proj_out.bias": (
            "image_encoder.trunk.blocks.1.mlp.layers.1.bias"
        ),
        "vision_encoder.neck.convs.2.bias": "image_encoder.neck.convs.2.conv.bias",
        "prompt_encoder.point_embed.3.weight": "sam_prompt_encoder.point_embeddings.3.weight",
        "mask_decoder.pred_obj_score_head.layers.0.bias": (
            "sam_mask_decoder.pred_obj_score_head.layers.1.bias"
        ),
        "mask_decoder.iou_prediction_head.proj_out.bias": (
            "sam_mask_decoder.iou_prediction_head.layers.2.bias"
        ),
        "mask_decoder.transformer.layers.1.self_attn.o_proj.bias": (
            "sam_mask_decoder.transformer.layers.1.self_attn.out_proj.bias"
        ),
        "object_pointer_proj.layers.0.bias": "obj_ptr_proj.layers.0.bias",
    }
    assert upstream_names(given) == given


def test_transformers_names_of_edgetam() -> None:
    given = {
        "no_memory_embedding": "no_mem_embed",
        "vision_encoder.backbone.timm_model.stem.conv1.c.weight": (
            "image_encoder.trunk.body.stem.conv1.c.weight"
        ),
        "vision_encoder.backbone.timm_model.stages_2.blocks.0.se.fc1.bias": (
            "image_encoder.trunk.body.stages_2.blocks.0.se.fc1.bias"
        ),
        "vision_encoder.neck.convs.2.bias": "image_encoder.neck.convs.2.conv.bias",
        "mask_decoder.conv_s0.weight": "sam_mask_decoder.conv_s0.weight",
        "spatial_perceiver.latents_1d": "spatial_perceiver.latents_1d",
        "no_object_pointer": "no_obj_ptr",
    }
    assert upstream_names(given) == given


@pytest.mark.skipif(not SPECS.is_dir(), reason=f"no tensor specs in {SPECS}")
@pytest.mark.parametrize(
    ("theirs_file", "ours_file"), [("hf_SamModel", "sam_vit_b"), ("hf_SamHQModel", "hqsam_vit_b")]
)
def test_a_transformers_model_has_sams_names_and_shapes(theirs_file: str, ours_file: str) -> None:
    theirs, sams = (
        {key: tuple(shape) for key, shape, _ in json.loads(path.read_text())["state_dict"]}
        for path in (SPECS / f"{theirs_file}.json", SPECS / f"{ours_file}.json")
    )
    names = upstream_names(theirs)
    assert {names[key]: shape for key, shape in theirs.items()} == sams


def test_a_table_of_point_embeddings_becomes_a_tensor_per_row() -> None:
    torch = pytest.importorskip("torch", reason="tensors are split with PyTorch (extra `export`)")
    from edgekit.models.checkpoints.renaming import split_tables

    table = torch.arange(8.0).reshape(4, 2)
    split = split_tables({"prompt_encoder.point_embed.weight": table, "mask_decoder.w": table})
    assert sorted(split) == ["mask_decoder.w"] + [
        f"prompt_encoder.point_embed.{row}.weight" for row in range(4)
    ]
    assert torch.equal(split["prompt_encoder.point_embed.2.weight"], table[2:3])
