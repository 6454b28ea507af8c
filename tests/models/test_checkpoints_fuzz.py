"""Whatever is done to a checkpoint, `detect` and `load` answer or refuse it, in time.

The mutations know what a checkpoint is: they rename, reshape, retype, swap, nest and repeat, in
every form of file. `EDGEKIT_FUZZ=4000 EDGEKIT_FUZZ_SEED=1` does more of them, with other numbers.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError
from edgekit.models import registry
from edgekit.models.checkpoints import locate

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

COUNT = int(os.environ.get("EDGEKIT_FUZZ", "12"))
SEED = int(os.environ.get("EDGEKIT_FUZZ_SEED", "14"))
LONGEST = 20.0  # seconds of computing for one file

Tensors = dict[str, torch.Tensor]
Mutation = Callable[[Tensors, random.Random], Tensors]


def pruned() -> Tensors:
    """A whole SAM of tiny widths, in half precision: 8 MB, nearly all of them the decoder."""
    from edgekit.models.encoders.sam_vit import SamVitEncoder, VitBlockSize, VitSize
    from edgekit.models.sam import SamDecoder

    block = VitBlockSize(heads=12, head_dim=2, value_dim=1, hidden=7, split=True)
    encoder = SamVitEncoder(VitSize(width=24, blocks=(block, block), global_blocks=(1,)))
    own = {f"image_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    return {n: t.half() for n, t in (own | dict(SamDecoder().state_dict())).items()}


WHOLE = pruned()
# Without the two-way transformer, most of the bytes: for the mutations that cannot fit anyway.
SMALL = {name: tensor for name, tensor in WHOLE.items() if ".transformer." not in name}
TRANSFORMERS = {
    "vision_encoder.patch_embed.projection.weight": torch.ones(24, 3, 16, 16),
    "vision_encoder.pos_embed": torch.ones(1, 64, 64, 24),
    "vision_encoder.layers.0.attn.qkv.weight": torch.ones(72, 24),
    "vision_encoder.backbone.timm_model.stem.conv1.c.weight": torch.ones(24, 3, 3, 3),
    "shared_image_embedding.positional_embedding": torch.ones(2, 128),
    "prompt_encoder.shared_embedding.positional_embedding": torch.ones(2, 128),
    "prompt_encoder.point_embed.weight": torch.ones(4, 256),
    "mask_decoder.mask_tokens.weight": torch.ones(4, 256),
}
YOLO = {
    "model.0.conv.weight": torch.ones(32, 3, 3, 3),
    "model.22.cv3.0.2.weight": torch.ones(1, 128, 1, 1),
    "model.22.cv2.0.2.weight": torch.ones(64, 64, 1, 1),
}
SOURCES = (WHOLE, SMALL, SMALL, SMALL, TRANSFORMERS, YOLO)
ODD_NAMES = ("", ".", "..", "a" * 400, "\x1b[31m", "[bold]", "lora_A", "é", "module.", "0", "x\ny")
DTYPES = (torch.int64, torch.bool, torch.float64, torch.complex64, torch.uint8, torch.bfloat16)


def some(tensors: Tensors, chance: random.Random) -> list[str]:
    names = sorted(tensors)
    return chance.sample(names, min(len(names), chance.choice((1, 1, 2, 5, 50))))


def dropped(tensors: Tensors, chance: random.Random) -> Tensors:
    gone = set(some(tensors, chance))
    return {name: tensor for name, tensor in tensors.items() if name not in gone}


def renamed(tensors: Tensors, chance: random.Random) -> Tensors:
    def other(name: str) -> str:
        parts = name.split(".")
        parts[chance.randrange(len(parts))] = chance.choice((*ODD_NAMES, *parts))
        return ".".join(parts)

    chosen = set(some(tensors, chance))
    return {other(name) if name in chosen else name: t for name, t in tensors.items()}


def prefixed(tensors: Tensors, chance: random.Random) -> Tensors:
    first = [name.partition(".")[0] for name in tensors]
    prefix = chance.choice((*first, "module", "model", "sam", "student", "ema", "a.b.c")) + "."
    times = chance.choice((1, 1, 2, 7))
    chosen = set(tensors) if chance.random() < 0.5 else set(some(tensors, chance))
    return {prefix * times * (name in chosen) + name: t for name, t in tensors.items()}


def repeated(tensors: Tensors, chance: random.Random) -> Tensors:
    prefix = chance.choice(("ema.", "model.", "module.", "image_encoder.", "x."))
    return tensors | {prefix + name: tensors[name] for name in some(tensors, chance)}


def swapped(tensors: Tensors, chance: random.Random) -> Tensors:
    if chance.random() < 0.5:
        parts = {"image_encoder.": "mask_decoder.", "mask_decoder.": "image_encoder."}
        return {
            next(
                (
                    new + name.removeprefix(old)
                    for old, new in parts.items()
                    if name.startswith(old)
                ),
                name,
            ): t
            for name, t in tensors.items()
        }
    one, other = chance.choice(sorted(tensors)), chance.choice(sorted(tensors))
    return tensors | {one: tensors[other], other: tensors[one]}


def reshaped(tensors: Tensors, chance: random.Random) -> Tensors:
    def other(tensor: torch.Tensor) -> torch.Tensor:
        return chance.choice(
            (
                lambda t: t.flatten(),
                lambda t: t.reshape(1, *t.shape),
                lambda t: t.movedim(0, -1).contiguous() if t.ndim else t,
                lambda t: t[:1].clone() if t.ndim else t,
                lambda t: t[:0].clone() if t.ndim else t,
                lambda t: torch.cat([t, t]) if t.ndim else t,
                lambda _: torch.ones(()),
                lambda t: torch.empty(0, 2**40, *t.shape[2:]),
                lambda t: torch.empty((2**31, *([0] * max(t.ndim - 1, 1)))),
                lambda _: torch.ones(*[1] * 20),
            )
        )(tensor)

    return tensors | {name: other(tensors[name]) for name in some(tensors, chance)}


def retyped(tensors: Tensors, chance: random.Random) -> Tensors:
    dtype = chance.choice(DTYPES)
    return tensors | {name: tensors[name].to(dtype) for name in some(tensors, chance)}


def spoilt(tensors: Tensors, chance: random.Random) -> Tensors:
    value = chance.choice((float("nan"), float("inf"), -float("inf")))
    return tensors | {
        name: torch.full_like(tensors[name], value)
        for name in some(tensors, chance)
        if tensors[name].is_floating_point()
    }


def joined(tensors: Tensors, chance: random.Random) -> Tensors:
    return tensors | chance.choice(SOURCES)


MUTATIONS: tuple[Mutation, ...] = (
    dropped,
    renamed,
    prefixed,
    repeated,
    swapped,
    reshaped,
    retyped,
    spoilt,
    joined,
)


def as_zip(tensors: Tensors, folder: Path, chance: random.Random) -> Path:
    nest = chance.choice((None, "model", "state_dict", "net", 3, b"x"))
    torch.save(tensors if nest is None else {nest: tensors, "epoch": 3}, folder / "a.pt")
    return folder / "a.pt"


def as_legacy(tensors: Tensors, folder: Path, chance: random.Random) -> Path:
    torch.save(tensors, folder / "a.pth", _use_new_zipfile_serialization=False)
    return folder / "a.pth"


def as_module(tensors: Tensors, folder: Path, chance: random.Random) -> Path:
    whole = torch.nn.Module()
    for name, tensor in tensors.items():
        *path, last = name.split(".")
        inner = whole
        for part in path:
            inner = inner._modules.setdefault(part, torch.nn.Module())
        inner._buffers[last] = tensor
    torch.save(whole, folder / "whole.pt")
    return folder / "whole.pt"


def as_safetensors(tensors: Tensors, folder: Path, chance: random.Random) -> Path:
    """The header is JSON, in which a value is changed half of the time."""
    from safetensors.torch import save

    content = save({name: tensor.clone().contiguous() for name, tensor in tensors.items()})
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    if header and chance.random() < 0.5:
        entry = header[chance.choice(sorted(header))]
        change = chance.choice(
            (
                {"dtype": chance.choice(("F64", "I8", "F8_E4M3", "BOOL", "X", "", "C64"))},
                {"shape": chance.choice(([], [0], [-1], [2**63], [1] * 70, [2**32, 2**32], "x"))},
                {"data_offsets": chance.choice(([0, 0], [0, 2**62], [5, 1], [], [-1, 3]))},
                {"more": 1},
            )
        )
        entry.update(change)
    text = json.dumps(header).encode()
    (folder / "a.safetensors").write_bytes(
        len(text).to_bytes(8, "little") + text + content[8 + size :]
    )
    return folder / "a.safetensors"


def as_shards(tensors: Tensors, folder: Path, chance: random.Random) -> Path:
    from safetensors.torch import save_file

    names, where = sorted(tensors), chance.randrange(len(tensors) + 1)
    for index, part in enumerate((names[:where], names[where:]), start=1):
        shard = {name: tensors[name].clone().contiguous() for name in part}
        save_file(shard, folder / f"model-0000{index}-of-00002.safetensors")
    listed = {
        name: f"model-0000{chance.choice((1, 1, 1, 2, 3))}-of-00002.safetensors" for name in names
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    return folder / chance.choice(("", "model.safetensors.index.json"))


FORMS = (as_zip, as_zip, as_legacy, as_module, as_safetensors, as_safetensors, as_shards)


def written(folder: Path, chance: random.Random) -> Path | None:
    """A mutated file; None if the format itself cannot hold what the mutations made."""
    tensors = dict(chance.choice(SOURCES))
    for _ in range(chance.choice((1, 1, 2, 4))):
        tensors = chance.choice(MUTATIONS)(tensors, chance) or dict(YOLO)
    try:
        path = chance.choice(FORMS)(tensors, folder, chance)
    except Exception:
        return None
    if path.is_file() and chance.random() < 0.2:
        damaged = bytearray(path.read_bytes())
        for _ in range(chance.randint(1, 4)):
            damaged[min(int(chance.expovariate(1e-3)), len(damaged) - 1)] = chance.randrange(256)
        path.write_bytes(damaged)
    return path


def answered(path: Path, chance: random.Random) -> str:
    """What `detect` and `load` do with a file: the kinds of their answers."""
    from edgekit.models.checkpoints.detect import detect
    from edgekit.models.checkpoints.fit import load

    said = []
    models = ["slimsam_global_77", chance.choice(("mobilesam", "sam2.1_hiera_t", "fastsam_s"))]
    try:
        detection = detect(path)
        said.append("fits" if detection.fits else "fits nothing")
        models += detection.models[:1]
    except EdgekitError as error:
        said.append(type(error).__name__)
    for model in models:
        row = replace(registry.model(model), checkpoints=())
        try:
            load(row, locate(row, (str(path),)))
            said.append("loaded")
        except EdgekitError as error:
            said.append("escapes" if "\x1b" in str(error) else type(error).__name__)
    if said[0] == "fits" and len(said) > 3:
        assert said[3] == "loaded", "detect names a model that does not load"
    assert "escapes" not in said, "a name from the file reaches the terminal as it is"
    return said[0]


@pytest.fixture(scope="module")
def every_model_built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first call builds every model's shapes; it is left out of the times."""
    from edgekit.models.checkpoints.detect import detect

    path = tmp_path_factory.mktemp("first") / "a.pt"
    torch.save(YOLO, path)
    detect(path)


@pytest.mark.usefixtures("every_model_built")
@pytest.mark.parametrize("part", range(4))
def test_a_mutated_checkpoint_is_answered_or_refused(part: int, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {part}")
    seen: dict[str, int] = {}
    for index in range(COUNT // 4):
        folder = tmp_path / "one"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        path = written(folder, chance)
        if path is None:
            continue
        start = time.process_time()
        try:
            said = answered(path, chance)
        except Exception as error:
            kept = folder.rename(tmp_path / f"failed-{index}")
            raise AssertionError(f"seed {SEED}, part {part}, file {index} in {kept}") from error
        assert time.process_time() - start < LONGEST, f"file {index}"
        seen[said] = seen.get(said, 0) + 1
    assert len(seen) > 1, "every file met the same answer, so that the mutations try little"
