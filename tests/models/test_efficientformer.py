"""EfficientFormerV2: timm's tensors, and the biases of its attention as constants."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")

from edgekit.models.encoders.efficientformer_v2 import SIZES, EfficientFormerV2  # noqa: E402
from edgekit.models.encoders.esam import EsamEncoder  # noqa: E402
from edgekit.models.encoders.offset_bias import bias_index  # noqa: E402
from edgekit.program.passes.bake_tables import bake_tables  # noqa: E402

SPECS = Path(__file__).parents[3] / "shared" / "oracles" / "specs"
CLASSIFIER = "norm."


@pytest.mark.skipif(not SPECS.is_dir(), reason=f"no tensor specs in {SPECS}")
@pytest.mark.parametrize("size", SIZES)
def test_names_and_shapes_are_timms(size: str) -> None:
    spec = json.loads((SPECS / f"efficientformerv2_{size}_1024.json").read_text())["state_dict"]
    with torch.device("meta"):
        ours = EfficientFormerV2(SIZES[size]).state_dict()
    theirs = {key: tuple(shape) for key, shape, _ in spec if not key.startswith(CLASSIFIER)}
    assert {key: tuple(tensor.shape) for key, tensor in ours.items()} == theirs


def test_queries_of_every_second_token_see_all_keys() -> None:
    """The key at row 1, column 2 is 1 row from the query at row 2, column 2, and 0 columns."""
    side = 4
    index = bias_index(side, stride=2)
    assert index.shape == (4, 16)
    assert index[3, 1 * side + 2] == 1 * side + 0
    assert torch.equal(index, bias_index(side)[[0, 2, 8, 10]])


def test_constant_biases_change_nothing() -> None:
    torch.manual_seed(0)
    encoder = EsamEncoder(SIZES["s0"], frame=128).eval()
    for name, tensor in encoder.named_parameters():
        if name.endswith("attention_biases"):
            tensor.data.normal_()
    baked, image = bake_tables(encoder), torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        expected = encoder(image)
        assert torch.equal(baked(image), expected)
        baked.backbone.stages[3].downsample.attn._bias += 1
        baked.backbone.stages[2].blocks[5].token_mixer._bias[:, :, :3] += 1
        assert not torch.allclose(baked(image), expected)
    assert expected.shape == (1, 256, 8, 8)
