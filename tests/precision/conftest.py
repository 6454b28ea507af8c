"""A tiny captured model: convolutions with a norm between them, angles, a product."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.catalog import PhotoSet, image_set
from edgekit.models import registry
from edgekit.models.sam.layers import LayerNorm2d
from edgekit.precision.measure.ranges import Calibration, measure
from edgekit.program.capture import Program, capture_decoder, capture_encoder
from edgekit.records import ClientContract, Role
from edgekit.runtime import Predictor

FRAME, CHANNELS = 256, 8
LEVEL = 0.5
"""Added to all logits, since masks of a few scattered pixels say little about precision."""


class TinyEncoder(nn.Module):
    """[1, 3, 256, 256] -> [1, 8, 64, 64]. The norm undoes `scale`."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 4, 4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1))
        self.norm = LayerNorm2d(CHANNELS)
        self.neck = nn.Conv2d(CHANNELS, CHANNELS, 1)
        with torch.no_grad():
            self.stem[0].weight *= scale
            self.stem[0].bias *= scale
            self.body[0].bias *= scale

    def forward(self, image: Tensor) -> Tensor:
        return self.neck(self.norm(self.body(self.stem(image))))


class TinyDecoder(nn.Module):
    """Masks are products of upscaled features and tokens, which are angles of the points."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", 4 * torch.randn(2, CHANNELS // 2))
        self.mix = nn.Linear(CHANNELS, 4 * CHANNELS)
        self.upscale = nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, stride=4)
        self.score = nn.Linear(CHANNELS, 4)

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        angles = ((point_coords + 0.5) / FRAME * 2 - 1) @ self.frequencies * (2 * math.pi)
        tokens = torch.cat([angles.sin(), angles.cos()], dim=-1)
        token = (tokens * (point_labels >= 0).to(tokens.dtype).unsqueeze(-1)).sum(1)
        weights = F.relu(self.mix(token)).unflatten(-1, (4, CHANNELS))
        masks = weights @ self.upscale(image_embeddings).flatten(2)
        masks = masks.unflatten(2, (FRAME, FRAME)) + LEVEL
        return masks + mask_input * has_mask_input.reshape(-1, 1, 1, 1), self.score(token)


@dataclass(frozen=True, eq=False)
class Tiny:
    """Both programs, and the client that runs them."""

    encoder: Program
    decoder: Program
    client: ClientContract

    def program(self, role: Role) -> Program:
        return self.encoder if role is Role.ENCODER else self.decoder

    def calibrated(self, photos: PhotoSet) -> Calibration:
        return measure(self.encoder, self.decoder, photos=photos, client=self.client)

    def predictor(self, *sessions) -> Predictor:
        return Predictor.from_sessions(self.client, *sessions)


@pytest.fixture(scope="session")
def tiny() -> Callable[[float], Tiny]:
    """`tiny(scale)`: the model with a scaled first layer, which does not change its masks."""
    made: dict[float, Tiny] = {}
    client = registry.model("nanosam").client
    client = replace(client, preprocessing=replace(client.preprocessing, frame=FRAME))

    def make(scale: float = 1.0) -> Tiny:
        if scale not in made:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                encoder = capture_encoder(TinyEncoder(scale).eval(), frame=FRAME)
                decoder = capture_decoder(TinyDecoder().eval(), features=encoder.outputs)
            made[scale] = Tiny(encoder, decoder, client)
        return made[scale]

    return make


@pytest.fixture(scope="session")
def photos() -> PhotoSet:
    """One bundled photo."""
    return replace(image_set(), name="one", photos=image_set().photos[:1])


@pytest.fixture(scope="session")
def calibration(tiny, photos) -> Calibration:
    return tiny().calibrated(photos)


@pytest.fixture
def lowered(tmp_path: Path):
    """`lowered(program)`: its typed ONNX and the path of the file."""
    import onnx

    from edgekit.catalog import target
    from edgekit.graph.export import lower_to_onnx

    def lower(program: Program):
        graph = lower_to_onnx(program, target("jetson-fp16"), folder=tmp_path)
        return onnx.shape_inference.infer_shapes(onnx.load(graph.path)), graph.path

    return lower
