"""Whatever a trainer wraps around a model is taken off, once, before the model is recognised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.errors import CheckpointMismatch

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")

SAM = ("image_encoder.neck.0.weight", "prompt_encoder.no_mask_embed.weight", "mask_decoder.w")
HF = ("vision_encoder.neck.conv1.weight", "shared_image_embedding.positional_embedding")
SAM2 = ("image_encoder.trunk.pos_embed", "sam_mask_decoder.conv_s0.weight", "no_mem_embed")
NANOSAM = ("backbone.conv1.weight", "up_1.0.weight", "pos_embedding", "mask_decoder.w")
YOLO = ("model.0.conv.weight", "model.22.dfl.conv.weight")
VIT = ("patch_embed.proj.weight", "blocks.0.norm1.weight", "pos_embed")
LAYOUTS = {"sam": SAM, "transformers": HF, "sam2": SAM2, "nano": NANOSAM, "yolo": YOLO, "vit": VIT}


def state(names: tuple[str, ...], value: float = 1.0) -> dict:
    return {name: torch.full((2,), value) for name in names}


def prefixed(prefix: str) -> Callable[[dict], dict]:
    return lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()}


def nested(*keys: str) -> Callable[[dict], dict]:
    def nest(tensors: dict) -> dict:
        for key in reversed(keys):
            tensors = {key: tensors, "epoch": 3, "lr_schedulers": [], "best": 0.5}
        return tensors

    return nest


def tensors_of(content: object, folder: Path, name: str = "some.pt", key: str = "") -> dict:
    from edgekit.models.checkpoints.read import read_checkpoint

    torch.save(content, folder / name)
    return dict(read_checkpoint([f"{folder / name}{key}"]).tensors)


def notes_of(content: object, folder: Path) -> str:
    from edgekit.models.checkpoints.read import read_checkpoint

    torch.save(content, folder / "some.pt")
    return " ".join(read_checkpoint([str(folder / "some.pt")]).notes)


PREFIXES = (
    "module.",
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "model.",
    "sam.",
    "student.",
    "net.sam.",
    "_forward_module.model.",
    "base_model.model.",
    "any_name.of.a.wrapper.",
)
NESTS = ("model", "state_dict", "net", "module", "ema", "params", "weights", "model_state", "x")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_shared_prefix_is_taken_off(prefix: str, layout: str, tmp_path: Path) -> None:
    names = LAYOUTS[layout]
    assert set(tensors_of(prefixed(prefix)(state(names)), tmp_path)) == set(names)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("nest", NESTS)
def test_the_one_state_dict_is_opened(nest: str, layout: str, tmp_path: Path) -> None:
    names = LAYOUTS[layout]
    content = nested(nest)(prefixed("module.")(state(names)))
    assert set(tensors_of(content, tmp_path)) == set(names)
    assert set(tensors_of(nested("checkpoint", nest)(state(names)), tmp_path)) == set(names)


def test_wrappers_inside_a_name_are_taken_off(tmp_path: Path) -> None:
    given = ("image_encoder.module.neck.0.weight", "mask_decoder._orig_mod.w")
    assert set(tensors_of(state(given), tmp_path)) == {
        "image_encoder.neck.0.weight",
        "mask_decoder.w",
    }


def test_a_wrapped_pickled_module_is_opened_without_its_passing_buffers(tmp_path: Path) -> None:
    model = torch.nn.Module()
    model.image_encoder = torch.nn.Linear(2, 2)
    model.register_buffer("pixel_mean", torch.zeros(3), persistent=False)
    whole = torch.nn.DataParallel(model)
    assert set(tensors_of(whole, tmp_path)) == {"image_encoder.weight", "image_encoder.bias"}
    assert notes_of(whole, tmp_path) == ""
    ultralytics = {"epoch": 5, "model": None, "ema": model, "optimizer": {}}
    assert set(tensors_of(ultralytics, tmp_path)) == {"image_encoder.weight", "image_encoder.bias"}


@pytest.mark.parametrize(
    "surplus",
    [
        "pixel_mean",
        "pixel_std",
        "criterion.weight",
        "loss.dice.weight",
        "focal_loss.alpha",
        "n_averaged",
        "num_updates",
        "optimizer.state.exp_avg",
        "train_metrics.count",
    ],
)
def test_what_no_model_needs_is_left_out_with_a_word(surplus: str, tmp_path: Path) -> None:
    for prefix in ("", "model."):
        for place in dict.fromkeys((surplus, prefix + surplus)):
            content = prefixed(prefix)(state(SAM)) | {place: torch.zeros(2)}
            assert set(tensors_of(content, tmp_path)) == set(SAM)
            assert place in notes_of(content, tmp_path)


def test_an_optimizers_state_is_not_a_state_dict(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.ones(2)
    optimizer.step()
    content = {"net": state(SAM), "optimizer": optimizer.state_dict(), "states": [state(SAM)]}
    assert set(tensors_of(content, tmp_path)) == set(SAM)


def test_what_changes_the_weights_is_never_left_out(tmp_path: Path) -> None:
    """Without its adapters, a model would run and be another."""
    content = prefixed("sam.")(state(SAM)) | {"lora_A.0.weight": torch.ones(1)}
    assert "lora_A.0.weight" in tensors_of(content, tmp_path)


@pytest.mark.parametrize(
    ("one", "other"), [("params", "params_ema"), ("student", "teacher"), ("a.b", "a.c")]
)
def test_of_several_state_dicts_the_key_picks_one(one: str, other: str, tmp_path: Path) -> None:
    first, second = state(SAM, 1.0), state(SAM, 2.0)
    content = prefixed(f"{one}.")(first) | prefixed(f"{other}.")(second)
    with pytest.raises(CheckpointMismatch, match=f"2 state dicts: {one}, {other}") as error:
        tensors_of(content, tmp_path)
    assert f"#{one}" in str(error.value)
    for key, value in ((one, 1.0), (other, 2.0)):
        picked = tensors_of(content, tmp_path, key=f"#{key}")
        assert set(picked) == set(SAM)
        assert all(tensor[0] == value for tensor in picked.values())
    with pytest.raises(CheckpointMismatch, match="nothing under 'absent'"):
        tensors_of(content, tmp_path, key="#absent")


@pytest.mark.parametrize("other", ["ema.shadows", "model_ema", "teacher"])
def test_upstreams_own_key_wins_with_a_word(other: str, tmp_path: Path) -> None:
    content = {"state_dict": state(SAM, 1.0)} | prefixed(f"{other}.")(state(SAM, 2.0))
    assert all(tensor[0] == 1 for tensor in tensors_of(content, tmp_path).values())
    assert other in notes_of(content, tmp_path)


def test_a_file_with_a_hash_in_its_name_has_no_key(tmp_path: Path) -> None:
    assert set(tensors_of(state(SAM), tmp_path, name="run#3.pt")) == set(SAM)
