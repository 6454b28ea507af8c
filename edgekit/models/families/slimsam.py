"""SlimSAM: SAM ViT-B, pruned.

Sources: Chen et al., arXiv 2312.05284; czg1225/SlimSAM. "Uniform" prunes every layer alike; the
files have SAM's names or those of Hugging Face transformers. "Global" leaves each layer a width of
its own; the file is a pickled module in which q, k and v are three layers, and the widths are read
from it. The global widths are not published, so seeded weights take the uniform ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgekit.models.families.mobilesam import SAM_CLIENT
from edgekit.models.families.sam import build_vit
from edgekit.records import CheckpointFile, ModelRow

if TYPE_CHECKING:
    from torch import nn

    from edgekit.models.encoders.sam_vit import VitSize

_HUB = "https://huggingface.co/Zigeng"


def _row(percent: int, *, parameters: int, encoder_gmacs: float, uniform: bool) -> ModelRow:
    kind = "uniform" if uniform else "global"
    return ModelRow(
        name=f"slimsam_{percent}" if uniform else f"slimsam_global_{percent}",
        family="slimsam",
        variant=f"{kind} {percent} %",
        title=f"SlimSAM ({kind} pruning, {percent} %)",
        paper="https://arxiv.org/abs/2312.05284",
        licence="Apache-2.0",
        parameters=parameters,
        encoder_gmacs=encoder_gmacs,
        builder=f"edgekit.models.families.slimsam:build_{kind}",
        size=str(percent),
        encoder_prefix="image_encoder.",
        unused_keys=(),
        checkpoints=(_uniform_file(percent) if uniform else _global_file(percent),),
        client=SAM_CLIENT,
        widths="fixed" if uniform else "from_checkpoint",
        forms=("state dict", "safetensors", "transformers" if uniform else "pickled module"),
    )


def _uniform_file(percent: int) -> CheckpointFile:
    """The file of a uniform model. Its digest is unknown, so edgekit never downloads it."""
    return CheckpointFile(
        filename="model.safetensors",
        url=f"{_HUB}/SlimSAM-uniform-{percent}/resolve/main/model.safetensors",
        sha256=None,
        bytes=None,
        licence="Apache-2.0",
    )


def _global_file(percent: int) -> CheckpointFile:
    return CheckpointFile(
        filename=f"SlimSAM-{percent}.pth",
        url="https://github.com/czg1225/SlimSAM",  # the page links to a shared drive
        sha256=None,
        bytes=None,
        licence="Apache-2.0",
    )


ROWS = (
    _row(50, parameters=27_961_776, encoder_gmacs=153.5, uniform=True),
    _row(77, parameters=9_723_528, encoder_gmacs=46.6, uniform=True),
    _row(50, parameters=27_961_776, encoder_gmacs=153.5, uniform=False),
    _row(77, parameters=9_723_528, encoder_gmacs=46.6, uniform=False),
)


def build_uniform(size: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with random weights, in eval mode; `size` is the pruned share in %."""
    return build_vit(_uniform_size(size))


def build_global(
    size: str, shapes: Mapping[str, tuple[int, ...]] | None
) -> tuple[nn.Module, nn.Module]:
    """As `build_uniform`; every width is read from the checkpoint's tensors, if given."""
    from edgekit.models.encoders.sam_vit import split
    from edgekit.models.encoders.sam_vit_widths import size_from_shapes

    return build_vit(size_from_shapes(shapes) if shapes else split(_uniform_size(size)))


def _uniform_size(size: str) -> VitSize:
    from edgekit.models.encoders.sam_vit import uniform

    width, hidden = {"50": (384, 1536), "77": (168, 696)}[size]
    return uniform(width=width, depth=12, heads=12, hidden=hidden, global_blocks=(2, 5, 8, 11))
