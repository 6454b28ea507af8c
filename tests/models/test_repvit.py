"""RepViT: merged branches, gates, and the encoders of EdgeSAM and RepViT-SAM."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
from torch import nn  # noqa: E402

from edgekit.models.encoders.edge_sam import EdgeSamEncoder  # noqa: E402
from edgekit.models.encoders.repvit import (  # noqa: E402
    EDGE_SAM_M1,
    SAM_M2_3,
    RepVggDw,
    RepVitEncoder,
    RepVitSize,
    SqueezeExcite,
)
from edgekit.models.seeded import seeded_tensor  # noqa: E402
from edgekit.program.passes.bake_tables import bake_tables  # noqa: E402
from edgekit.program.passes.fold_batch_norm import fold_batch_norm  # noqa: E402

TOY = {"widths": (8, 16, 24, 32), "depths": (3, 1, 2, 2)}
FRAME = 128


def seeded(module: nn.Module) -> nn.Module:
    """Replace the initial weights and statistics by seeded ones."""
    state = {
        name: torch.from_numpy(seeded_tensor(name, tuple(tensor.shape), 0))
        for name, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }
    module.load_state_dict(state, strict=False)
    return module.eval()


@pytest.mark.parametrize("outer_norm", [False, True])
def test_merged_branches_compute_the_same(outer_norm: bool) -> None:
    block = seeded(RepVggDw(6, outer_norm=outer_norm))
    merged = copy.deepcopy(block)
    merged.bake()
    x = torch.randn(1, 6, 9, 9)
    with torch.no_grad():
        assert torch.allclose(merged(x), block(x), atol=1e-5)
    assert [name for name, _ in merged.named_parameters()] == ["merged.weight", "merged.bias"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder",
    [
        EdgeSamEncoder(RepVitSize(**TOY, outer_norm=False, last_stride=2), frame=FRAME),
        RepVitEncoder(RepVitSize(**TOY, outer_norm=True, last_stride=1)),
    ],
    ids=["edgesam", "repvit-sam"],
)
def test_the_exported_encoder_is_equal_and_has_no_branches(encoder: nn.Module) -> None:
    encoder, image = seeded(encoder), torch.randn(1, 3, FRAME, FRAME)
    exported = fold_batch_norm(bake_tables(encoder), (image,))
    with torch.no_grad():
        expected = encoder(image)
        assert expected.shape == (1, 256, FRAME // 16, FRAME // 16)
        assert torch.allclose(exported(image), expected, atol=1e-4)
    left = [module for module in exported.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not left
    depthwise = [m for m in exported.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert {m.kernel_size for m in depthwise} == {(3, 3)}


@pytest.mark.parametrize(("size", "blocks"), [(EDGE_SAM_M1, 27), (SAM_M2_3, 55)])
def test_every_other_block_is_gated_except_the_last_of_a_stage(
    size: RepVitSize, blocks: int
) -> None:
    with torch.device("meta"):
        features = RepVitEncoder(size).features
    assert len(features) == blocks == size.blocks_to(3)
    gated = [any(isinstance(part, SqueezeExcite) for part in block.modules()) for block in features]
    end = size.blocks_to(0)
    assert gated[1:end] == [i % 2 == 0 and i < end - 2 for i in range(end - 1)]
    assert not any(gated[size.blocks_to(stage)] for stage in range(3))  # downsampling
    assert not any(gated[size.blocks_to(stage) - 1] for stage in range(4))
