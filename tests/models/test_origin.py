"""A manifest says which file gave which tensors; a file of one part replaces just that part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from edgekit import catalog
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.pack import make_manifest
from edgekit.records import Manifest, Origin, Role

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
pytestmark = pytest.mark.slow

ENCODER = ("image_encoder.",)
DECODER = ("mask_decoder.", "prompt_encoder.")


def state(offset: float = 0) -> dict[str, torch.Tensor]:
    """MobileSAM's tensors, all moved by the offset."""
    from edgekit.models.checkpoints.fit import build

    encoder, decoder = build(registry.model("mobilesam"))
    own = {f"image_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    named = own | dict(decoder.state_dict())
    return {n: t + offset if t.is_floating_point() else t for n, t in named.items()}


WHOLE, MINE = state(), state(1)


def only(tensors: Mapping, prefixes: tuple[str, ...], *, bare: bool = False) -> dict:
    kept = {name: tensor for name, tensor in tensors.items() if name.startswith(prefixes)}
    return {name.partition(".")[2] if bare else name: tensor for name, tensor in kept.items()}


def loaded(folder: Path, files: Iterable[Mapping]) -> tuple[dict, Manifest]:
    """The model's tensors after loading the files, and the manifest of its bundle."""
    from edgekit.models.checkpoints.fit import load

    row, paths = registry.model("mobilesam"), []
    for index, tensors in enumerate(files):
        paths.append(folder / f"{index}.pt")
        torch.save(dict(tensors), paths[-1])
    split = load(row, locate(row, tuple(map(str, paths))))
    assert split.decoder is not None
    own = {f"image_encoder.{n}": t for n, t in split.encoder.state_dict().items()}
    target = catalog.target("x86-fp32")
    manifest = make_manifest(row, target, split.source, artifacts=(), golden=())
    return own | dict(split.decoder.state_dict()), manifest


def origin(file: int, role: Role, prefixes: tuple[str, ...]) -> Origin:
    return Origin(files=(file,), role=role, tensors=len(only(WHOLE, prefixes)), prefixes=prefixes)


@pytest.mark.parametrize(
    ("replaced", "bare", "expected"),
    [
        (
            ("mask_decoder.",),
            False,
            (
                origin(0, Role.ENCODER, ENCODER),
                origin(0, Role.DECODER, ("prompt_encoder.",)),
                origin(1, Role.DECODER, ("mask_decoder.",)),
            ),
        ),
        (
            ("mask_decoder.",),
            True,
            (
                origin(0, Role.ENCODER, ENCODER),
                origin(0, Role.DECODER, ("prompt_encoder.",)),
                origin(1, Role.DECODER, ("mask_decoder.",)),
            ),
        ),
        (DECODER, False, (origin(0, Role.ENCODER, ENCODER), origin(1, Role.DECODER, DECODER))),
        (ENCODER, False, (origin(0, Role.DECODER, DECODER), origin(1, Role.ENCODER, ENCODER))),
        (ENCODER, True, (origin(0, Role.DECODER, DECODER), origin(1, Role.ENCODER, ENCODER))),
    ],
    ids=["mask decoder", "bare mask decoder", "decoder", "encoder", "bare encoder"],
)
def test_a_file_of_one_part_replaces_just_that_part(
    replaced: tuple[str, ...], bare: bool, expected: tuple[Origin, ...], tmp_path: Path
) -> None:
    tensors, manifest = loaded(tmp_path, (WHOLE, only(MINE, replaced, bare=bare)))
    for name, tensor in tensors.items():
        wanted = MINE if name.startswith(replaced) else WHOLE
        assert torch.equal(tensor, wanted[name]), name
    assert manifest.weights.origins == expected
    assert [file.path for file in manifest.weights.files] == ["0.pt", "1.pt"]


def test_one_file_gives_everything(tmp_path: Path) -> None:
    _, manifest = loaded(tmp_path, (WHOLE,))
    given = manifest.weights.origins
    assert given == (origin(0, Role.ENCODER, ENCODER), origin(0, Role.DECODER, DECODER))
    assert sum(part.tensors for part in given) == len(WHOLE)


def test_the_shards_of_one_model_are_named_together(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from edgekit.models.checkpoints.fit import load

    names, row = sorted(WHOLE), registry.model("mobilesam")
    for index, part in enumerate((names[:50], names[50:]), start=1):
        shard = tmp_path / f"model-0000{index}-of-00002.safetensors"
        save_file({name: WHOLE[name].contiguous() for name in part}, shard)
    given = load(row, locate(row, (str(tmp_path),))).source.origins
    assert [part.files for part in given] == [(0, 1), (0, 1)]


def test_seeded_weights_come_from_no_file() -> None:
    from edgekit.models.checkpoints.fit import load

    row = registry.model("mobilesam")
    assert load(row, locate(row, ("seeded",))).source.origins == ()
