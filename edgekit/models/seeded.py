"""Random weights that depend only on names, shapes and a seed.

They serve tests and work on size and speed. Every tensor has its own random stream, keyed by
sha256("<seed>:<name>"), so it depends only on the seed, its upstream name and its shape. The gains
keep the activations of deep networks in range; masks from such weights mean nothing. The parity
oracles (tests/parity) were recorded with the same rules, so parity needs no checkpoint. Only NumPy
is needed.
"""

from __future__ import annotations

import hashlib
import math
import re

import numpy as np

from edgekit.records import FloatArray

# The first pattern that the name matches wins. Residual branches are damped, because otherwise the
# sum grows with every block. Squeeze-and-excite gates are damped, because saturated gates make deep
# networks chaotic. EfficientFormerV2's attention is damped (a quarter of the default), because it
# would saturate and hide its biases.
_GAINS = (
    (re.compile(r"token_mixer\.(q|k|proj)\.conv\.|downsample\.attn\.(q\.proj|k)\.conv\."), 0.35),
    (re.compile(r"(token_mixer\.\d|\.se)\.fc[12]\."), 0.3),
    (re.compile(r"token_mixer\.(0\.)?conv1?\."), 0.5),
    (re.compile(r"channel_mixer\.(m\.2|conv2)\."), 0.5),
    (re.compile(r"\.main\."), 0.9),
    (re.compile(r"\.conv_s[01]\."), 0.3),
    (re.compile(r"^model\.\d+\.(m\.\d+\.cv2|cv[234]\.\d\.2)\."), 0.5),
    (re.compile(r"^model\.\d+\."), 1.7),
    (re.compile(r"^backbone\.layer\d\.\d+\.conv3\."), 0.35),
    (re.compile(r"\.dcn_offset\."), 0.35),
    (re.compile(r"^neck\.deconv\.output_conv\."), 0.175),
    (re.compile(r"unet_decoder\..*double_conv"), 1.0),
)
_DEFAULT_GAIN = 1.4

_TRANSPOSED = re.compile(r"upscal|upsample|\bup_1\b|compress_vit_feat|embedding_encoder")
_TABLE = re.compile(
    r"(rel_pos_[hw]|attention_biases|pos_embed|pos_embed_window|pos_embedding|pos_enc)$"
)
_TOKEN = re.compile(r"(_tokens?|_embed|_embeddings(\.\d+)?|invalid_points|no_obj_\w+|latents\w*)$")


def seeded_tensor(name: str, shape: tuple[int, ...], seed: int) -> FloatArray:
    """The float32 tensor with this upstream name and shape."""
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "little")
    noise = np.random.Generator(np.random.Philox(key=key)).standard_normal(math.prod(shape))
    return _scale(name, shape, noise).astype(np.float32).reshape(shape)


def _scale(
    name: str, shape: tuple[int, ...], noise: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Scale and shift standard normal noise for the kind of tensor that `name` indicates."""
    if name.endswith("dfl.conv.weight"):  # YOLO's bin centres are not learned
        return np.arange(noise.size, dtype=np.float64)
    kind = _scale_and_shift(name, shape)
    if kind is not None:
        return kind[0] * noise + kind[1]
    if name.endswith("running_var"):
        return np.exp(0.1 * noise)
    gain = next((gain for pattern, gain in _GAINS if pattern.search(name)), _DEFAULT_GAIN)
    return noise * (gain / math.sqrt(_fan_in(name, shape)))


def _scale_and_shift(name: str, shape: tuple[int, ...]) -> tuple[float, float] | None:
    """(factor, offset) for kinds that need no fan-in; the first rule that fits wins."""
    stem = name.removesuffix(".weight")
    rules = (
        (name.endswith("running_mean"), (0.05, 0.0)),
        (name.endswith("running_var"), None),
        (name.endswith("positional_encoding_gaussian_matrix"), (1.0, 0.0)),
        (bool(_TABLE.search(stem)), (0.1, 0.0)),
        (name.endswith("gamma"), (0.02, 0.1)),
        (bool(_TOKEN.search(stem)), (1.0, 0.0)),
        (name.endswith("bias"), (0.02, 0.0)),
        (len(shape) == 1, (0.1, 1.0)),
    )
    return next((kind for fits, kind in rules if fits), None)


def _fan_in(name: str, shape: tuple[int, ...]) -> float:
    if _TRANSPOSED.search(name) and len(shape) == 4:
        return shape[0] * math.prod(shape[2:]) / 4  # stride 2: a quarter of the taps overlap
    return math.prod(shape[1:])
