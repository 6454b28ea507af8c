"""Files that are not checkpoints are named, and no file takes more than its size explains."""

from __future__ import annotations

import contextlib
import io
import json
import random
import time
import zipfile
from pathlib import Path

import pytest

from edgekit.errors import BadInput, CheckpointMismatch
from edgekit.models.checkpoints.address import expand, groups, split_key

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")


def read(path: Path) -> dict:
    from edgekit.models.checkpoints.read import read_tensors

    return read_tensors(path)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".onnx", ".bin"])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 4\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><title>Quota exceeded</title></html>", "a web page"),
        (b"\n <HTML><head></head></HTML>", "a web page"),
        (b"\xef\xbb\xbf<!doctype HTML>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b'{"error": "Repository not found"}', "JSON"),
        (b"\x1f\x8b\x08\x00rest", "gzip"),
    ],
)
def test_what_is_no_checkpoint_is_named(
    content: bytes, named: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"mobile_sam{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointMismatch, match=named) as error:
        read(path)
    assert error.value.next_step


def test_the_content_decides_how_a_file_is_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"fc.weight": torch.ones(2)}, tmp_path / "a.pth")
    torch.save({"fc.weight": torch.ones(2)}, tmp_path / "b.safetensors")
    assert set(read(tmp_path / "a.pth")) == {"fc.weight"}
    with pytest.raises(CheckpointMismatch, match=r"rename it to b\.pt"):
        read(tmp_path / "b.safetensors")


@pytest.mark.slow
def test_an_archive_that_unpacks_to_far_more_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(200 << 20))
    with pytest.raises(CheckpointMismatch, match="do not compress like that"):
        read(path)


class Shared(torch.nn.Module):
    """A module of modules that are all the same two."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.a = self.b = inner


@pytest.mark.parametrize("kind", ["modules", "dicts"])
def test_shared_parts_are_not_expanded_without_end(kind: str, tmp_path: Path) -> None:
    tree: object = torch.nn.Linear(1, 1) if kind == "modules" else {"w": torch.ones(1)}
    for _ in range(30):
        tree = Shared(tree) if kind == "modules" else {"a": tree, "b": tree}
    torch.save(tree, tmp_path / "laughs.pt")
    start = time.monotonic()
    with pytest.raises(CheckpointMismatch, match=r"without end|tensors"):
        read(tmp_path / "laughs.pt")
    assert time.monotonic() - start < 20


def test_a_name_without_end_is_refused(tmp_path: Path) -> None:
    torch.save({"n" * 10_000: {"w": torch.ones(1)}}, tmp_path / "long.pt")
    with pytest.raises(CheckpointMismatch, match="without end"):
        read(tmp_path / "long.pt")


def test_a_view_that_repeats_its_numbers_is_refused(tmp_path: Path) -> None:
    wide = torch.zeros(1).expand(1, 64, 64, 768)
    torch.save({"image_encoder.pos_embed": wide}, tmp_path / "wide.pt")
    with pytest.raises(CheckpointMismatch, match=r"pos_embed repeats 4 bytes"):
        read(tmp_path / "wide.pt")
    one = torch.zeros(1 << 20)
    torch.save({f"image_encoder.{i}": one for i in range(50)}, tmp_path / "shared.pt")
    with pytest.raises(CheckpointMismatch, match="repeat each other"):
        read(tmp_path / "shared.pt")


def odd_tensors() -> dict:
    plain = torch.ones(4, 4)
    return {
        "float8": plain.to(torch.float8_e4m3fn),
        "meta": plain.to("meta"),
        "sparse_coo": plain.to_sparse(),
        "qint8": torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8),
        "complex64": plain.to(torch.complex64),
    }


@pytest.mark.parametrize("kind", ["float8", "meta", "sparse_coo", "qint8", "complex64"])
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_not_plain_numbers_are_refused_by_name_and_type(
    kind: str, tmp_path: Path
) -> None:
    torch.save({"image_encoder.neck.0.weight": odd_tensors()[kind]}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointMismatch, match=rf"neck\.0\.weight is a {kind}"):
        read(tmp_path / "odd.pt")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (torch.full((2,), 1e300, dtype=torch.float64), "beyond float32's range"),
        (torch.tensor([1.0, float("nan")]), "NaN or infinity"),
        (torch.tensor([1, 2]), "int64 numbers, where the model has float"),
        (torch.tensor([True, False]), "bool numbers, where the model has float"),
        (torch.tensor([1, 2], dtype=torch.uint8), "uint8 numbers"),
    ],
)
def test_weights_must_be_finite_float_numbers(given: torch.Tensor, named: str) -> None:
    from edgekit.models.checkpoints.values import require_weights

    with pytest.raises(CheckpointMismatch, match=named):
        require_weights({"w": given}, {"w": torch.zeros(2)}, "file.pt")


def samples() -> dict[str, bytes]:
    """A file of each format."""
    from safetensors.torch import save

    state = {"image_encoder.neck.0.weight": torch.ones(3, 3), "mask_decoder.w": torch.ones(2)}
    files = {"a.safetensors": save(state)}
    for name, legacy, content in (
        ("zip.pt", False, {"model": state}),
        ("old.pt", True, {"model": state}),
        ("module.pt", False, torch.nn.Sequential(torch.nn.Linear(2, 2))),
    ):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
        files[name] = buffer.getvalue()
    return files | {"encoder.onnx": small_graph()}


def small_graph() -> bytes:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 4, 4]) for n in "xy"]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 1, 1], [1.0])
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize("name", ["a.safetensors", "zip.pt", "old.pt", "module.pt", "encoder.onnx"])
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_one_error_of_ours(name: str, tmp_path: Path) -> None:
    """Flips, cuts and splices, seeded: read or refused, but never another exception."""
    source, chance = samples()[name], random.Random(14)
    path = tmp_path / name
    for _ in range(60):
        damaged = bytearray(source)
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(damaged)) :]
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointMismatch):
            read(path)


def sharded(folder: Path) -> list[Path]:
    from safetensors.torch import save_file

    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    save_file({"vision_encoder.neck.conv1.weight": torch.ones(1)}, folder / names[0])
    save_file({"mask_decoder.iou_token.weight": torch.ones(2)}, folder / names[1])
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return [folder / name for name in names]


@pytest.mark.parametrize("given", ["", "model.safetensors.index.json", "0", "1"])
def test_shards_are_one_model_however_they_are_named(given: str, tmp_path: Path) -> None:
    from edgekit.models.checkpoints.read import read_checkpoint

    shards = sharded(tmp_path)
    path = shards[int(given)] if given.isdecimal() else tmp_path / given
    assert list(expand(path)) == shards
    assert groups(map(str, shards)) == (tuple(map(str, shards)),)
    assert len(read_checkpoint([str(shard) for shard in shards]).tensors) == 2
    shards[1].unlink()
    if path.exists():
        with pytest.raises(BadInput, match=f"missing: {shards[1].name}"):
            expand(path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": "../x"}}', "[" * 100_000]
)
def test_an_index_names_only_files_beside_it(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(BadInput):
        expand(tmp_path / "model.safetensors.index.json")


def test_a_folder_with_several_checkpoints_lists_them(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no checkpoint in"):
        expand(tmp_path)
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BadInput, match=r"2 checkpoints: a\.pt, b\.pt"):
        expand(tmp_path)


@pytest.mark.parametrize("text", ["a" * 5000, "absent.pt#key", "nul\0.pt", "#", ""])
def test_a_path_that_names_nothing_is_one_error(text: str) -> None:
    path, _ = split_key(text)
    if path != Path():
        with pytest.raises(BadInput, match="no checkpoint file"):
            expand(path)
