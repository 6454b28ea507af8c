"""Checkpoints load as upstream publishes them; damaged and foreign files are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import BadInput, CheckpointMismatch, WeightsUnavailable
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.checkpoints.recognise import family_of
from edgekit.records import ModelRow, WeightsSource
from tests.models.weights import source

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
pytestmark = pytest.mark.slow

NANOSAM = registry.model("nanosam")
MOBILESAM = registry.model("mobilesam")


@pytest.fixture(scope="module")
def states() -> Mapping[str, dict]:
    """State dicts of both models under upstream's names, from seed 3."""
    from edgekit.models.checkpoints.fit import load

    result = {}
    for row in (NANOSAM, MOBILESAM):
        split = load(row, WeightsSource(kind="seeded", licence="none", seed=3))
        encoder = {row.encoder_prefix + k: v for k, v in split.encoder.state_dict().items()}
        result[row.name] = encoder | split.decoder.state_dict()
    return result


def loaded(row: ModelRow, *paths: Path) -> dict:
    from edgekit.models.checkpoints.fit import load

    split = load(row, source(*paths))
    encoder = {row.encoder_prefix + k: v for k, v in split.encoder.state_dict().items()}
    return encoder | split.decoder.state_dict()


def save(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def assert_same(ours: Mapping, theirs: Mapping) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name].to(tensor.dtype)), name


@pytest.mark.parametrize("nest", [None, "model", "state_dict", "model_state_dict"])
def test_flat_and_nested_files_load_unmodified(states: Mapping, tmp_path: Path, nest: str) -> None:
    unused = {"image_encoder.head.weight": torch.zeros(1000, 320)}
    state = states["mobilesam"] | unused
    path = save({nest: state, "epoch": 7} if nest else state, tmp_path / "mobile_sam.pt")
    assert_same(loaded(MOBILESAM, path), states["mobilesam"])


def test_half_precision_safetensors_load_as_float32(states: Mapping, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    half = {k: v.half() if v.is_floating_point() else v for k, v in states["nanosam"].items()}
    save_file(half, tmp_path / "nanosam.safetensors")
    ours = loaded(NANOSAM, tmp_path / "nanosam.safetensors")
    assert_same(ours, half)
    assert ours["pos_embedding"].dtype == torch.float32


def test_nanosam_takes_its_decoder_from_mobilesams_file(states: Mapping, tmp_path: Path) -> None:
    encoder = {k: v for k, v in states["nanosam"].items() if not k.startswith(("prompt", "mask"))}
    ours = loaded(
        NANOSAM,
        save({"model": encoder}, tmp_path / "resnet18.pth"),
        save(states["mobilesam"], tmp_path / "mobile_sam.pt"),
    )
    decoder = {k: v for k, v in states["mobilesam"].items() if k.startswith(("prompt", "mask"))}
    assert_same(ours, encoder | decoder)


@pytest.mark.parametrize("folded", [True, False])
def test_nanosams_published_onnx_encoder_is_read_by_topology(
    states: Mapping, tmp_path: Path, folded: bool
) -> None:
    """The file is as upstream's exporter writes it: without names, batch norm folded or not."""
    from edgekit.models.checkpoints.fit import load

    split = load(NANOSAM, WeightsSource(kind="seeded", licence="none", seed=3))
    path = tmp_path / "resnet18_image_encoder.onnx"
    export_as_upstream(split.encoder, path, folded=folded)
    decoder = save(split.decoder.state_dict(), tmp_path / "decoder.pt")
    ours = load(NANOSAM, source(path, decoder)).encoder
    photo = torch.rand(1, 3, 1024, 1024)
    with torch.inference_mode():
        gap = (ours(photo) - split.encoder(photo)).abs().max()
        assert gap <= 1e-5 * split.encoder(photo).abs().max()


def export_as_upstream(module: torch.nn.Module, path: Path, *, folded: bool) -> None:
    import warnings

    import onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, 1024, 1024),),
            str(path),
            dynamo=False,
            opset_version=16,
            training=torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=folded,
        )
    model = onnx.load(path)
    assert any(n.op_type == "BatchNormalization" for n in model.graph.node) is not folded
    rename = {t.name: f"w{i}" for i, t in enumerate(model.graph.initializer)}
    for tensor in model.graph.initializer:
        tensor.name = rename[tensor.name]
    for node in model.graph.node:
        node.input[:] = [rename.get(name, name) for name in node.input]
    onnx.save(model, path)


def test_another_onnx_graph_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save_model

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    save_model(helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(CheckpointMismatch, match="not NanoSAM's ResNet18 encoder"):
        loaded(NANOSAM, tmp_path / "other.onnx")


def test_a_mismatch_lists_missing_unexpected_and_mis_shaped_keys(
    states: Mapping, tmp_path: Path
) -> None:
    state = dict(states["mobilesam"])
    del state["image_encoder.neck.0.weight"]
    state["image_encoder.surplus"] = torch.zeros(1)
    state["image_encoder.neck.1.bias"] = torch.zeros(7)
    with pytest.raises(CheckpointMismatch) as error:
        loaded(MOBILESAM, save(state, tmp_path / "broken.pt"))
    text = str(error.value)
    assert "1 missing: image_encoder.neck.0.weight" in text
    assert "1 unexpected: image_encoder.surplus" in text
    assert "1 mis-shaped: image_encoder.neck.1.bias [7] instead of [256]" in text
    assert "look like" not in text


def test_a_mismatch_names_the_family_of_the_file(states: Mapping, tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match="look like MobileSAM"):
        loaded(NANOSAM, save(states["mobilesam"], tmp_path / "mobile_sam.pt"))
    with pytest.raises(CheckpointMismatch, match="look like NanoSAM"):
        loaded(MOBILESAM, save(states["nanosam"], tmp_path / "nano.pt"))


def test_non_finite_weights_are_refused(states: Mapping, tmp_path: Path) -> None:
    state = dict(states["mobilesam"])
    state["mask_decoder.iou_token.weight"] = torch.full((1, 256), float("nan"))
    with pytest.raises(CheckpointMismatch, match=r"iou_token\.weight holds NaN"):
        loaded(MOBILESAM, save(state, tmp_path / "nan.pt"))


class Payload:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch edgekit-was-owned",)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save({"model": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointMismatch, match="run code from the file"):
        loaded(MOBILESAM, path)
    assert not (tmp_path / "edgekit-was-owned").exists()


@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointMismatch):
        loaded(NANOSAM, path)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match="holds no tensors"):
        loaded(MOBILESAM, save({"epoch": 3}, tmp_path / "empty.pt"))


def test_keys_identify_the_family() -> None:
    assert (
        family_of(["image_encoder.features.0.0.c.weight", "image_encoder.fuse_stage2.weight"])
        == "EdgeSAM"
    )
    assert family_of(["image_encoder.features.0.0.c.weight"]) == "RepViT-SAM"
    backbone = "image_encoder.backbone.stages.0.blocks.0.ls2.gamma"
    assert family_of([backbone, "image_encoder.pyramid.laterals.0.weight"]) == "ESAM"
    assert family_of([backbone]) == "EfficientViT-SAM"
    assert family_of(["nothing.we.know"]) is None


def test_seeded_weights_need_no_file() -> None:
    located = locate(NANOSAM, ("seeded:5",))
    assert (located.kind, located.seed, located.files) == ("seeded", 5, ())
    assert "mean nothing" in (located.warning or "")


def test_keywords_and_paths_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no checkpoint file"):
        locate(NANOSAM, (str(tmp_path / "absent.pt"),))
    with pytest.raises(BadInput, match="cannot be combined"):
        locate(NANOSAM, ("seeded", "bundled"))
    with pytest.raises(BadInput, match="seed is not a number"):
        locate(NANOSAM, ("seeded:x",))


def test_a_checkpoint_without_a_published_digest_is_never_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    with pytest.raises(WeightsUnavailable) as error:
        locate(NANOSAM, ("official",))
    text = str(error.value)
    for part in ("resnet18_image_encoder.onnx", str(tmp_path), "--weights seeded"):
        assert part in text


def test_default_without_network_takes_the_bundled_file_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    shipped = tmp_path / "nanosam.safetensors"
    shipped.write_bytes(b"stand-in")
    monkeypatch.setitem(locate.__globals__, "bundled_path", lambda _: shipped)
    located = locate(NANOSAM)
    assert located.kind == "bundled"
    assert "NOT the official model" in (located.warning or "")


def test_default_without_any_weights_names_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    monkeypatch.setitem(locate.__globals__, "bundled_path", lambda _: None)
    row = replace(
        MOBILESAM, checkpoints=(replace(MOBILESAM.checkpoints[0], url="http://127.0.0.1:9/x"),)
    )
    with pytest.raises(WeightsUnavailable, match="--weights seeded"):
        locate(row)
