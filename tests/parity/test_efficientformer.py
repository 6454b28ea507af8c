"""EfficientFormerV2's four stages against timm's, from seeded weights.

ESAM, whose backbone this is, has no oracle of its own.
"""

from __future__ import annotations

import pytest

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.models.seeded import seeded_tensor
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from tests.parity.oracles import FOLDER, read_oracle, require_close, sampled, tolerance_of

torch = pytest.importorskip("torch", reason="the network is a PyTorch module (extra `export`)")

NAME = "efficientformerv2_1024"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (FOLDER / f"{NAME}.npz").is_file(), reason=f"no {NAME} in {FOLDER}"),
]


@pytest.mark.parametrize("size", ["s0", "s1", "s2"])
def test_stages_equal_timms(size: str) -> None:
    from edgekit.models.encoders.efficientformer_v2 import SIZES, EfficientFormerV2

    facts, arrays = read_oracle(NAME)
    network = EfficientFormerV2(SIZES[size]).eval()
    network.load_state_dict(
        {
            name: torch.from_numpy(seeded_tensor(name, tuple(tensor.shape), facts["seed"]))
            if tensor.is_floating_point()
            else torch.ones_like(tensor)
            for name, tensor in network.state_dict().items()
        }
    )
    image = encoder_input(load_photo(FOLDER / facts["photo"]), SAM_CLIENT.preprocessing)
    with torch.no_grad():
        maps = network(torch.from_numpy(image))
    for index, ours in enumerate(maps):
        tag = f"{size}.stage{index}"
        assert tuple(arrays[f"{tag}.shape"]) == ours.shape
        require_close(sampled(ours.numpy(), tag), arrays[f"{tag}.sample"], tolerance_of(facts))
