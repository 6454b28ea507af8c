"""The systems of the survey of efficient SAM variants, and what became of each of them here.

Source: Sun et al., arXiv 2410.04960, which lists 20 systems that segment by prompts and five for
everything, two of them in both lists; SAM itself makes 24. A system whose family has a row in the
registry takes its status from that row. The others are a technique (a stage of the export, a
strategy of everything mode, or a step that was tried) or are not here, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.models import registry
from edgekit.records import ModelRow

SystemStatus = Literal["parity", "paper", "technique", "not here"]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system of the survey.

    families: of its models in the registry; a family that has no row yet does not count.
    techniques: the modules that hold its stage or strategy, relative to the package `edgekit`.
    note: what of it is used, was measured or is missing.
    reason: why it is not here; used only while neither a family nor a technique is.
    """

    name: str
    paper: str | None
    families: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    note: str = ""
    reason: str = "not begun"

    @property
    def rows(self) -> tuple[ModelRow, ...]:
        """Its models in the registry."""
        return tuple(row for row in registry.models() if row.family in self.families)

    @property
    def status(self) -> SystemStatus:
        """What it is here; of several models, the status of the first."""
        if self.rows:
            return self.rows[0].status
        return "technique" if self.techniques else "not here"


def _arxiv(number: str) -> str:
    return f"https://arxiv.org/abs/{number}"


SYSTEMS = (
    System(name="SAM", paper=_arxiv("2304.02643"), families=("sam",)),
    System(name="FastSAM", paper=_arxiv("2306.12156"), families=("fastsam",)),
    System(name="SqueezeSAM", paper=_arxiv("2312.06736"), families=("squeezesam",)),
    System(name="EfficientSAM", paper=_arxiv("2312.00863"), families=("efficientsam",)),
    System(name="RAP-SAM", paper=_arxiv("2401.10228"), families=("rap-sam",)),
    System(name="SAM 2", paper=_arxiv("2408.00714"), families=("sam2.1", "sam2")),
    System(name="MobileSAM", paper=_arxiv("2306.14289"), families=("mobilesam",)),
    System(name="ESAM", paper=None, families=("esam",)),
    System(
        name="NanoSAM",
        paper="https://github.com/NVIDIA-AI-IOT/nanosam",
        families=("nanosam",),
    ),
    System(name="RepViT-SAM", paper=_arxiv("2312.05760"), families=("repvit-sam",)),
    System(name="EdgeSAM", paper=_arxiv("2312.06660"), families=("edgesam",)),
    System(name="EfficientViT-SAM", paper=_arxiv("2402.05008"), families=("efficientvit-sam",)),
    System(name="FastSAM3D", paper=_arxiv("2403.09827"), families=("fastsam3d",)),
    System(name="SAM-Lightening", paper=_arxiv("2403.09195"), families=("sam-lightening",)),
    System(name="RWKV-SAM", paper=_arxiv("2406.19369"), families=("rwkv-sam",)),
    System(
        name="TinySAM",
        paper=_arxiv("2312.13789"),
        families=("tinysam",),
        techniques=("runtime/everything/hierarchical.py",),
        note="Q-TinySAM is `edgekit export tinysam --target x86-int8`, run with random weights: "
        "mask IoU 0.683 on average, 0.293 at least (72 prompts, emulated); it fails the "
        "gate. Upstream's 8-bit file is a pickled module and is not loaded",
    ),
    System(
        name="PTQ4SAM",
        paper=_arxiv("2405.03144"),
        techniques=(
            "precision/techniques/bimodal.py",
            "precision/techniques/softmax_codes.py",
        ),
        note="BIG and AGQ compute what upstream's code computes. No target uses them: attention "
        "stays float, and no runtime has AGQ's codes; figures in tests/README.md",
    ),
    System(
        name="PQ-SAM",
        paper=None,
        reason="no code is public, and the rule that groups the channels is not described exactly",
    ),
    System(name="SlimSAM", paper=_arxiv("2312.05284"), families=("slimsam",)),
    System(name="SuperSAM", paper=_arxiv("2501.08504"), families=("supersam",)),
    System(
        name="SAMfast",
        paper="https://github.com/pytorch-labs/segment-anything-fast",
        families=("samfast",),
    ),
    System(
        name="MobileSAMv2",
        paper=_arxiv("2312.09579"),
        families=("mobilesamv2",),
        techniques=("runtime/everything/boxes.py",),
    ),
    System(
        name="Lite-SAM",
        paper=_arxiv("2407.08965"),
        techniques=("runtime/everything/proposed.py",),
        note="strategy `proposed`, with a proposal network of our own. Of theirs no code or "
        "weights are public: the abstract gives sizes (4.2 M parameters, 1.16 M of them in "
        "LiteViT) and says that AutoPPN predicts points and boxes; its layers are not described",
    ),
    System(
        name="AoP-SAM",
        paper=_arxiv("2505.11980"),
        techniques=("runtime/everything/proposed.py",),
        note="strategy `proposed`, with a proposal network of our own. Of theirs no weights are "
        "public and no copy of the code was to be had: a CNN over photo and embedding predicts a "
        "map of points, which are filtered from coarse to fine; its layers are not described",
    ),
)
"""The systems in the survey's order."""
