"""RWKV-SAM's weighted means against upstream's kernel alone, where its decay is strong.

In the whole model the decay is divided by the 4096 tokens, so that the kernel's deviation from the
paper's formula is smaller than the model's tolerance.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from edgekit.models.encoders.rwkv import CHUNKS, Wkv  # noqa: E402
from edgekit.models.seeded import seeded_tensor  # noqa: E402
from tests.parity.oracles import FOLDER  # noqa: E402

ORACLE = FOLDER / "rwkvsam_vitamin_small.npz"
TOKENS, CHANNELS = 200, 16


def seeded(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(seeded_tensor(f"wkv.{name}", shape, 0)).double()


@pytest.mark.skipif(not ORACLE.is_file(), reason=f"no {ORACLE}")
def test_the_means_alone_equal_the_kernels() -> None:
    with np.load(ORACLE, allow_pickle=False) as file:
        theirs = torch.from_numpy(file["wkv.y"])
    decay = 0.3 * seeded("w.weight", CHANNELS)
    bonus = 0.1 * seeded("u.weight", CHANNELS)  # the oracle's note says 0.3, its numbers say 0.1
    k = 20 * seeded("k.pos_embed", 1, TOKENS, CHANNELS)
    v = 10 * seeded("v.pos_embed", 1, TOKENS, CHANNELS)
    # The last chunk is filled up with tokens without weight.
    missing = -TOKENS % CHUNKS
    k = F.pad(k, (0, 0, 0, missing), value=-1e4)
    v = F.pad(v, (0, 0, 0, missing))
    ours = Wkv(decay, bonus, tokens=TOKENS + missing)(k, v)[:, :TOKENS]
    # Of values with a standard deviation of 1, larger means have a divisor near 0, where it counts
    # that the kernel adds 1e-6 to it. The paper's formula misses by 0.03 on average.
    ordinary = theirs.abs() <= 1
    assert ordinary.float().mean() > 0.8
    assert (ours - theirs)[ordinary].abs().max() <= 5e-5
