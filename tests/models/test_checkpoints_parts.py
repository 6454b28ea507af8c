"""Several files: each gives a part, or is refused by name; `detect` says what each one is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from edgekit.errors import CheckpointMismatch
from edgekit.models import registry
from edgekit.models.checkpoints.compare import compare
from edgekit.models.checkpoints.diagnose import diagnose

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")

MODEL = {
    "image_encoder.a.weight": (3, 3),
    "image_encoder.bn.num_batches_tracked": (),
    "prompt_encoder.p.weight": (2, 2),
    "mask_decoder.m.weight": (2, 2),
    "mask_decoder.m.bias": (2,),
}
WHOLE = dict(MODEL)
DECODER = {name: shape for name, shape in MODEL.items() if name.startswith("mask_decoder.")}
ENCODER = {name: shape for name, shape in MODEL.items() if name.startswith("image_encoder.")}


def bare(shapes: Mapping) -> dict:
    return {name.partition(".")[2]: shape for name, shape in shapes.items()}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("part", [DECODER, bare(DECODER), ENCODER, bare(ENCODER)])
def test_a_file_of_one_part_replaces_that_part(part: Mapping, order: int) -> None:
    files = [WHOLE, part][::order]
    comparison = compare(files, MODEL)
    assert comparison.fits
    assert comparison.idle == ()
    index = files.index(part)
    replaced = {name for name, (source, _) in comparison.taken.items() if source == index}
    assert replaced in (DECODER.keys(), ENCODER.keys())


@pytest.mark.parametrize(
    "idle",
    [
        {"mask_decoder.m.bias": (2,)},
        {"something.else": (4,)},
        {"mask_decoder.m.weight": (9, 9), "mask_decoder.m.bias": (9,)},
        WHOLE | {"image_encoder.head": (7,)},
    ],
    ids=["a fragment", "another model", "other shapes", "larger and whole too"],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_file_that_gives_nothing_is_found(idle: Mapping, order: int) -> None:
    files = [WHOLE, idle][::order]
    comparison = compare(files, MODEL)
    assert comparison.idle == (files.index(idle),)


def test_two_spellings_of_one_tensor_do_not_replace_each_other() -> None:
    expected = {name.removeprefix("image_encoder."): shape for name, shape in ENCODER.items()}
    for file in (ENCODER | expected, expected | ENCODER):
        comparison = compare([file], expected)
        assert comparison.taken["a.weight"] == (0, "a.weight")
        assert "image_encoder.a.weight" in comparison.unexpected


def test_batch_norms_counters_may_be_missing() -> None:
    assert compare([{n: s for n, s in MODEL.items() if "num_batches" not in n}], MODEL).fits


@pytest.mark.parametrize(
    ("shapes", "what", "way_out"),
    [
        ({"w_a_000": (4, 768)}, "LoRA", "merge_and_unload"),
        ({"mask_decoder.x.lora_A.default.weight": (4, 8)}, "LoRA", "merge_and_unload"),
        ({"image_encoder.attn.qkv.linear_b_v.weight": (4, 8)}, "LoRA", "merge_and_unload"),
        ({"image_encoder.blocks.0.attn.qkv.base_layer.weight": (4, 8)}, "LoRA", "merge"),
        ({"image_encoder.blocks.0.MLP_Adapter.D_fc1.weight": (4, 8)}, "adapters", "without"),
        ({"mask_decoder.mask_tokens.weight": (2, 256)}, "2 mask tokens", "num_multimask"),
        ({"sam_mask_decoder.mask_tokens.weight": (12, 256)}, "12 mask tokens", "num_multimask"),
        ({"model.22.cv3.0.2.weight": (3, 128, 1, 1)}, "trained with 3 classes", "single_cls"),
        (
            {
                "image_encoder.pos_embed": (1, 16, 16, 768),
                "image_encoder.patch_embed.proj.weight": (768, 3, 16, 16),
            },
            "256 pixels",
            "1024",
        ),
        (
            {"vision_encoder.x.weight": (1,), "text_encoder.x.weight": (1,)},
            "SAM 3 (transformers",
            "original",
        ),
        ({"vision_encoder.backbone.timm_model.layer1.0.x": (1,)}, "than RepViT-M1", "repvit_m1"),
    ],
)
def test_what_fine_tuning_leaves_is_named(shapes: Mapping, what: str, way_out: str) -> None:
    diagnosis = diagnose(shapes)
    assert diagnosis is not None
    assert what in diagnosis.what
    assert way_out in diagnosis.next_step


@pytest.mark.parametrize("shapes", [MODEL, {"mask_decoder.mask_tokens.weight": (4, 256)}])
def test_a_plain_model_has_no_diagnosis(shapes: Mapping) -> None:
    assert diagnose(shapes) is None


@pytest.mark.slow
def test_an_unused_file_is_refused_by_name_and_a_decoder_is_used(tmp_path: Path) -> None:
    from edgekit.models.checkpoints import locate
    from edgekit.models.checkpoints.detect import detect
    from edgekit.models.checkpoints.fit import build, load

    row = registry.model("mobilesam")
    encoder, decoder = build(row)
    own = {name: tensor + 1 for name, tensor in decoder.state_dict().items()}
    state = {f"image_encoder.{k}": v for k, v in encoder.state_dict().items()}
    mine = {name: tensor for name, tensor in own.items() if name.startswith("mask_decoder.")}
    torch.save(state | decoder.state_dict(), tmp_path / "mobile_sam.pt")
    torch.save({"x": torch.ones(1)}, tmp_path / "other.pt")
    torch.save({"model": mine}, tmp_path / "mine.pt")
    paths = [str(tmp_path / name) for name in ("mobile_sam.pt", "mine.pt", "other.pt")]
    loaded = load(row, locate(row, tuple(paths[:2]))).decoder.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in mine.items())
    name = "prompt_encoder.no_mask_embed.weight"
    assert torch.equal(loaded[name], decoder.state_dict()[name])
    with pytest.raises(CheckpointMismatch, match=r"Nothing of other\.pt is used"):
        load(row, locate(row, (paths[0], paths[2])))
    part = detect(Path(paths[1]))
    assert part.parts == ("mask_decoder",)
    assert "mobilesam" in part.parts_of
