"""HQ-SAM 2's decoder: upstream's numbers on a small grid, and its exported form."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")
from torch import Tensor, nn  # noqa: E402

from edgekit.models.families.hqsam2 import CLIENT  # noqa: E402
from edgekit.models.sam.hq2_decoder import Hq2Decoder, Hq2TokenSide  # noqa: E402
from edgekit.models.seeded import seeded_tensor  # noqa: E402
from edgekit.program.passes.bake_tables import bake_tables  # noqa: E402
from edgekit.program.passes.exported_form import exported_form  # noqa: E402
from edgekit.runtime.mask_choice import choose_masks, stability  # noqa: E402
from tests.models.exported import as_exported  # noqa: E402

GRID = 4
SIDE = 4 * GRID
PLACES = (0, 37, 119, 136, 202, 255)
"""The positions of the masks' 16 x 16 logits that are compared."""


@pytest.fixture(scope="module")
def decoder() -> nn.Module:
    """With the seeded weights of `edgekit export --weights seeded`."""
    module = Hq2Decoder(frame=16 * GRID)
    weights = {
        name: torch.from_numpy(seeded_tensor(name, tuple(tensor.shape), 0))
        for name, tensor in module.state_dict().items()
    }
    module.load_state_dict(weights)
    return module.eval()


def arguments() -> tuple[Tensor, ...]:
    """A photo's features; a box and two points, each with a padding point; one mask for both."""
    noise = np.random.default_rng(0)
    shapes = ((1, 256, GRID, GRID), (1, 32, SIDE, SIDE), (1, 64, SIDE // 2, SIDE // 2))
    features = [torch.from_numpy(noise.standard_normal(shape, np.float32)) for shape in shapes]
    mask = torch.from_numpy(4 * noise.standard_normal((1, 1, SIDE, SIDE), np.float32))
    coordinates = [[[5.0, 9], [50, 40], [0, 0]], [[20, 30], [44, 12], [0, 0]]]
    labels = [[2.0, 3, -1], [1, 0, -1]]
    return *features, torch.tensor(coordinates), torch.tensor(labels), mask, torch.ones(1)


# What upstream computes from `arguments` and the same weights (SysCV/sam-hq, commit fb181f8,
# sam-hq2, `MaskDecoderHQ.predict_masks`): SAM 2's four masks without the fine one, then that alone.
UPSTREAM_MASKS = (
    (
        (-4.8672, -18.6771, -4.8841, 3.2193, -4.418, 0.2813),
        (-3.0151, -6.3772, -6.3967, -4.6364, -3.4315, -3.9927),
        (-4.8635, -12.6767, -8.2811, -10.3472, -12.9105, -9.375),
        (1.6743, -18.6208, -23.0504, -6.5387, -23.1919, -9.3291),
        (-0.962, 6.3242, 10.1602, 13.9504, 4.478, 2.4596),
    ),
    (
        (-10.1078, -31.3828, -1.8476, -7.5607, -7.1933, -2.4415),
        (-2.4258, -12.3626, -0.6692, -6.5313, -5.2737, -4.3475),
        (-7.9296, -8.3635, -10.3901, -10.7575, -6.9223, -4.6373),
        (5.9339, -0.885, -5.9732, 3.1261, -8.1352, 0.9869),
        (-4.8637, 6.5037, 9.551, 10.7628, 0.6958, 5.7836),
    ),
)
UPSTREAM_SCORES = ((0.6894, 0.3294, 0.6484, 0.5913), (0.5388, 0.4595, 0.5596, 0.5562))
UPSTREAM_OBJECTS = ((-0.0786,), (1.9986,))


def test_masks_and_scores_are_upstreams(decoder: nn.Module) -> None:
    with torch.no_grad():
        masks, scores, objects = decoder(*arguments())
    theirs = torch.tensor(UPSTREAM_MASKS)
    own, fine = theirs[:, :4], theirs[:, 4:]
    ours = masks.flatten(2)[:, :, list(PLACES)]
    assert torch.allclose(ours, torch.cat([own + fine, fine, own[:, :1]], dim=1), atol=2e-4)
    expected = torch.tensor(UPSTREAM_SCORES)
    best = expected[:, 1:].amax(dim=1, keepdim=True)
    assert torch.allclose(scores, torch.cat([expected, best, expected[:, :1]], dim=1), atol=1e-4)
    assert torch.allclose(objects, torch.tensor(UPSTREAM_OBJECTS), atol=1e-4)


def test_the_single_mask_is_upstreams(decoder: nn.Module) -> None:
    """Upstream finds the first mask unstable for both prompts, and takes the best of the others.

    With the fine mask added, the first mask would be stable.
    """
    with torch.no_grad():
        masks, scores, _ = (result.numpy() for result in decoder(*arguments()))
    chosen, _ = choose_masks(CLIENT.masks.single, masks, scores)
    assert np.array_equal(chosen[:, 0], masks[:, 2])
    assert stability(masks[:, 0], 0.05).tolist() == [1, 1]


def test_the_exported_form_equals_the_plain_decoder(decoder: nn.Module) -> None:
    baked = bake_tables(decoder)
    assert isinstance(exported_form(baked), Hq2TokenSide)
    with torch.no_grad():
        plain, exported = decoder(*arguments()), as_exported(baked, *arguments())
    for ours, theirs in zip(exported, plain, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))
