"""Published checkpoints that are not one flat state dict."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgekit.errors import WeightsUnavailable
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.records import WeightsSource
from tests.models.weights import source

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
pytestmark = pytest.mark.slow

SPECS = Path(__file__).parents[3] / "shared" / "oracles" / "specs"
SEEDED = WeightsSource(kind="seeded", licence="none", seed=3)


def states(name: str, weights: WeightsSource = SEEDED) -> tuple[dict, dict]:
    """Copies of the encoder's and the decoder's state, under upstream's names."""
    from edgekit.models.checkpoints.fit import load

    row = registry.model(name)
    split = load(row, weights)
    encoder = {row.encoder_prefix + k: v.clone() for k, v in split.encoder.state_dict().items()}
    return encoder, {k: v.clone() for k, v in split.decoder.state_dict().items()}


def assert_same(loaded: dict, expected: dict) -> None:
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_mobilesam_v2_takes_the_decoder_of_its_own_file(
    order: tuple[int, int], tmp_path: Path
) -> None:
    """MobileSAM's file, from which the encoder comes, has a decoder too."""
    encoder, decoder = states("mobilesam")
    own = {name: tensor + 1 for name, tensor in decoder.items()}
    parts = {
        upstream: {
            name.removeprefix(ours): tensor for name, tensor in own.items() if name.startswith(ours)
        }
        for ours, upstream in (
            ("prompt_encoder.", "PromtEncoder"),
            ("mask_decoder.", "MaskDecoder"),
        )
    }
    files = tmp_path / "mobile_sam.pt", tmp_path / "Prompt_guided_Mask_Decoder.pt"
    torch.save({**encoder, **decoder}, files[0])
    torch.save(parts, files[1])
    loaded = states("mobilesamv2_vit_t", source(*(files[i] for i in order)))
    assert_same(loaded[0], encoder)
    assert_same(loaded[1], own)


def test_an_encoder_file_may_lack_the_prefix(tmp_path: Path) -> None:
    encoder, decoder = states("mobilesam")
    bare = {name.removeprefix("image_encoder."): tensor for name, tensor in encoder.items()}
    torch.save({"model": bare}, tmp_path / "tiny_vit.pt")
    torch.save(decoder, tmp_path / "decoder.pt")
    loaded = states("mobilesamv2_vit_t", source(tmp_path / "tiny_vit.pt", tmp_path / "decoder.pt"))
    assert_same(loaded[0], encoder)


@pytest.mark.skipif(not SPECS.is_dir(), reason=f"no tensor specs in {SPECS}")
def test_slimsam_loads_under_the_names_of_transformers(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from edgekit.models.checkpoints.renaming import upstream_names

    encoder, decoder = states("slimsam_77")
    listed = json.loads((SPECS / "hf_SamModel.json").read_text())["state_dict"]
    names = upstream_names(name for name, _, _ in listed)
    renamed = {theirs: (encoder | decoder)[ours].clone() for theirs, ours in names.items()}
    save_file(renamed, tmp_path / "model.safetensors")
    loaded = states("slimsam_77", source(tmp_path / "model.safetensors"))
    assert_same(loaded[0] | loaded[1], encoder | decoder)


class DataParallel(torch.nn.Module):
    """Stands for the wrapper in which SlimSAM's encoder was pickled."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module


def test_widths_are_read_from_a_pickled_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.models.encoders.sam_vit import SamVitEncoder, VitBlockSize, VitSize
    from edgekit.models.sam import SamDecoder

    blocks = (
        VitBlockSize(heads=12, head_dim=2, value_dim=1, hidden=7, split=True),
        VitBlockSize(heads=12, head_dim=1, value_dim=2, hidden=9, split=True),
    )
    pruned = torch.nn.Module()
    encoder = SamVitEncoder(VitSize(width=24, blocks=blocks, global_blocks=(1,)))
    pruned.image_encoder = DataParallel(encoder)
    decoder = SamDecoder()
    pruned.prompt_encoder, pruned.mask_decoder = decoder.prompt_encoder, decoder.mask_decoder
    torch.save(pruned, tmp_path / "SlimSAM-50.pth")
    monkeypatch.delattr(sys.modules[__name__], "DataParallel")
    loaded = states("slimsam_global_50", source(tmp_path / "SlimSAM-50.pth"))
    own = {f"image_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    assert_same(loaded[0], own)
    assert_same(loaded[1], dict(decoder.state_dict()))


def test_without_published_weights_the_next_step_is_named() -> None:
    with pytest.raises(WeightsUnavailable, match=r"(?s)No weights of SuperSAM.*--weights PATH"):
        locate(registry.model("supersam"))
