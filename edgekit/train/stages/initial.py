"""Initial weights of a student that starts from nothing.

Learning where a prompt is takes most of the training of a promptable decoder. Two choices within
SAM's architecture give the student most of that from the start:

- Queries and keys of every cross-attention start with the same projection. A token then attends to
  the image tokens whose positional encoding resembles its own.
- The Fourier frequencies are spread over octaves (SAM draws them from one Gaussian), so that this
  resemblance has a sharp peak and a long tail. The learned position table starts as the same
  encoding, so that a mask can depend linearly on position.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgekit.models.sam import SamDecoder
from edgekit.models.sam.transformer import Attention

_SHARPNESS = 1.7
_OCTAVES = (0.25, 6.0)


def initialise_decoder(decoder: SamDecoder, generator: torch.Generator) -> None:
    """Initialise a decoder in place, so that its tokens attend to where the prompt is."""
    matrix = decoder.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    matrix.copy_(_spread_frequencies(matrix.shape[1], generator))
    for module in decoder.modules():
        if isinstance(module, nn.Embedding):
            module.weight.data.normal_(0, 0.5, generator=generator)
    for name, module in decoder.named_modules():
        if isinstance(module, Attention) and not name.endswith("self_attn"):
            width = module.q_proj.in_features
            module.q_proj.weight.data.normal_(0, _SHARPNESS / math.sqrt(width), generator=generator)
            module.k_proj.weight.data.copy_(module.q_proj.weight.data)
            nn.init.zeros_(module.q_proj.bias)
            nn.init.zeros_(module.k_proj.bias)


def _spread_frequencies(count: int, generator: torch.Generator) -> Tensor:
    """[2, count]: random directions, lengths log-uniform over the octaves."""
    low, high = math.log(_OCTAVES[0]), math.log(_OCTAVES[1])
    length = torch.exp(low + (high - low) * torch.rand(count, generator=generator))
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    return torch.stack([angle.cos(), angle.sin()]) * length


def initialise_convolutions(module: nn.Module, generator: torch.Generator) -> None:
    """Apply He's initialisation to every convolution, so that deep necks start at unit scale."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            fan_in = (
                layer.weight.shape[1] if isinstance(layer, nn.Conv2d) else layer.weight.shape[0]
            )
            taps = layer.kernel_size[0] * layer.kernel_size[1]
            if isinstance(layer, nn.ConvTranspose2d):
                taps = max(taps // (layer.stride[0] * layer.stride[1]), 1)
            layer.weight.data.normal_(0, math.sqrt(2 / (fan_in * taps)), generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def damp_residuals(backbone: nn.Module, *, strength: float = 0.2) -> None:
    """Scale the last batch norm of every residual block, so that its shortcut dominates."""
    for name, norm in backbone.named_modules():
        if isinstance(norm, nn.BatchNorm2d) and name.endswith("bn2"):
            norm.weight.fill_(strength)


@torch.no_grad()
def scale_features(encoder: nn.Module, image: Tensor, *, deviation: float = 0.5) -> None:
    """Scale the last convolution of NanoSAM's neck to a given standard deviation of its output.

    Args:
        encoder: after the feature teacher's stage, with a neck that is still random.
        image: [B, 3, H, W], normalised.
        deviation: close to that of the position table, so that neither outweighs the other.
    """
    last = encoder.get_submodule("proj.2")
    features: Tensor = encoder.train().features(image)  # type: ignore[operator]
    last.weight.mul_(deviation / features.std())  # type: ignore[operator]


def initialise_positions(encoder: nn.Module, decoder: SamDecoder, *, strength: float = 0.3) -> None:
    """Initialise the encoder's learned positions, if it has any, with the decoder's encoding."""
    table = getattr(encoder, "pos_embedding", None)
    if isinstance(table, nn.Parameter) and table.shape[-1] == decoder.prompt_encoder.grid:
        grid = decoder.prompt_encoder.grid
        positions = decoder.prompt_encoder.image_positions()[0].detach()
        table.data.copy_(strength * positions.T.reshape(1, -1, grid, grid))
