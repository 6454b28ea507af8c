"""TinySAM: MobileSAM's network, distilled in another way.

Sources: Shu et al., arXiv 2312.13789; xinghaochen/TinySAM. The predictor has no single mask: it
always returns three, and upstream's examples take the one with the highest score.

The paper's Q-TinySAM is this network with 8-bit weights and activations, which is what an INT8
target's recipe makes of `tinysam` with edgekit's own calibration. Upstream's file of it,
`tinysam_w8a8.pth`, is a pickled module of quantiser classes whose code is not public; it is not
loaded. `checkpoints.pickled_module` could read its tensors without running that code, but nobody
has had the file to try, and the intervals of the quantisers may be no tensors.
"""

from __future__ import annotations

from dataclasses import replace

from edgekit.models.families import mobilesam
from edgekit.records import CheckpointFile, MaskChoice

CLIENT = replace(
    mobilesam.SAM_CLIENT,
    masks=replace(mobilesam.SAM_CLIENT.masks, single=MaskChoice(masks=(1, 2, 3), keep="best")),
)

ROWS = (
    replace(
        mobilesam.ROWS[0],
        name="tinysam",
        family="tinysam",
        title="TinySAM (TinyViT-5M)",
        paper="https://arxiv.org/abs/2312.13789",
        checkpoints=(
            CheckpointFile(
                filename="tinysam_42.3.pth",
                url="https://github.com/xinghaochen/TinySAM/releases/download/3.0/tinysam_42.3.pth",
                sha256="4b8edcf93af46e2a658ae455574de62873778a5cc3fd8e8adf094dcdfa957cf2",
                bytes=None,
                licence="Apache-2.0",
            ),
        ),
        client=CLIENT,
    ),
)
