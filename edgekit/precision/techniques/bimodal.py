"""PTQ4SAM's bimodal integration (BIG): a sign for each channel of queries and keys.

In SAM's decoder, the paper finds, a channel of the keys that tokens look at is positive throughout
or negative throughout. The distribution of all values then has two peaks, and a code has to span
the gap between them. With the sign of its mean in the weights of both projections, a channel's keys
are positive. The scores stay the same: each is a sum of products of a query and a key.

No keys of NanoSAM's demonstration checkpoint have two peaks, so nothing is folded there. And the
exported decoder has less to gain: its keys have no bias, which softmax cancels
(`models.sam.token_side`), so a channel has no level of its own.

Sources: Lv et al., arXiv 2405.03144; chengtao-lv/PTQ4SAM, quantization/observer.py and
quantization/fake_quant.py, for the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from scipy.signal import find_peaks
from scipy.stats import gaussian_kde
from torch import Tensor, nn

from edgekit.models.sam.transformer import Attention
from edgekit.records import FloatArray

LOOKS = ("cross_attn_token_to_image", "final_attn_token_to_image")
"""The attentions of the tokens to the image: in upstream, only their keys are examined."""

PLACES = 128
"""Places, from the smallest value to the largest, at which the density is estimated."""

_LOWEST_PEAK = 0.01
"""The smallest density of a peak, as a share of the sum of the densities at all places."""

_NEAREST_PEAKS = 32
"""Places between two peaks; of nearer ones the lower does not count."""


def integrate_bimodal(decoder: nn.Module, run: Callable[[], object]) -> tuple[str, ...]:
    """Fold the signs of bimodal keys into the decoder's weights, in place.

    Do it before the decoder is captured, and before ranges are measured.

    Args:
        decoder: a SAM decoder as it is defined, not its exported form.
        run: runs it once, on a photo of the calibration set.

    Returns:
        The attentions whose keys were bimodal, by their names in the decoder.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, keys: seen.update({name: keys[0].detach()})

    looks = dict(_looks(decoder))
    hooks = [look.k_proj.register_forward_hook(keep(name)) for name, look in looks.items()]
    run()
    for hook in hooks:
        hook.remove()
    bimodal = {name: keys for name, keys in seen.items() if is_bimodal(keys)}
    for name, keys in bimodal.items():
        fold_signs(looks[name], channel_signs(keys))
    return tuple(bimodal)


def _looks(decoder: nn.Module) -> Iterator[tuple[str, Attention]]:
    for name, module in decoder.named_modules():
        if isinstance(module, Attention) and name.rpartition(".")[2] in LOOKS:
            yield name, module


def is_bimodal(keys: Tensor) -> bool:
    """Whether the distribution of all values, channels together, has exactly two peaks."""
    return len(peaks(density(keys))) == 2


def density(keys: Tensor) -> FloatArray:
    """The estimated density [PLACES] of all values, from the smallest to the largest."""
    values = keys.flatten().numpy()
    places = torch.linspace(float(values.min()), float(values.max()), PLACES).numpy()
    return gaussian_kde(values)(places)  # type: ignore[no-any-return]


def peaks(densities: FloatArray) -> tuple[int, ...]:
    """The places of the peaks."""
    height = _LOWEST_PEAK * densities.sum()
    found, _ = find_peaks(densities, height=height, distance=_NEAREST_PEAKS)
    return tuple(found.tolist())


def channel_signs(keys: Tensor) -> Tensor:
    """1 or -1 for each channel of keys [tokens, channels], by its mean; 1 for a mean of 0."""
    return torch.where(keys.mean(dim=0) < 0, -1.0, 1.0)


def fold_signs(attention: Attention, signs: Tensor) -> None:
    """Multiply the channels of queries and keys by signs [channels], in place."""
    with torch.no_grad():
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight.mul_(signs[:, None])
            projection.bias.mul_(signs)
