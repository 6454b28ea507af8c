"""Each family's rule for segmenting everything, and that of the bundled checkpoint."""

from __future__ import annotations

import pytest

from edgekit import catalog
from edgekit.models import registry
from edgekit.pack import make_manifest
from edgekit.records import ClientContract, EverythingRule, MaskChoice, WeightsKind, WeightsSource

BEST = MaskChoice(masks=(1, 2, 3), keep="best")
SAM, SAM2 = EverythingRule(), EverythingRule(predicted_iou=0.8)


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        ("sam_vit_b", SAM),
        ("mobilesam", SAM),
        ("tinysam", SAM),
        ("nanosam", SAM),
        ("sam2.1_hiera_t", SAM2),
        ("edgetam", SAM2),
        ("efficienttam_ti_512x512", SAM2),
        ("hqsam_vit_b", EverythingRule(choice=BEST)),
        ("hqsam2.1_hiera_l", SAM2),
    ],
)
def test_rule_of_upstream(model: str, rule: EverythingRule) -> None:
    client = registry.model(model).client
    assert isinstance(client, ClientContract)
    assert client.everything == rule


def test_a_head_that_was_not_trained_ranks_nothing() -> None:
    client = registry.model("edgesam").client
    assert isinstance(client, ClientContract)
    assert client.everything.predicted_iou == 0
    assert client.everything.choice.stability_offset == 1


@pytest.mark.parametrize(("kind", "own"), [("bundled", True), ("official", False), ("path", False)])
def test_the_bundled_checkpoint_has_its_own(kind: WeightsKind, own: bool) -> None:
    row = registry.model("nanosam")
    manifest = make_manifest(
        row,
        catalog.target("x86-fp32"),
        WeightsSource(kind=kind, licence="Apache-2.0"),
        artifacts=(),
        golden=(),
    )
    assert isinstance(manifest.client, ClientContract)
    assert manifest.client.everything == (row.bundled_everything if own else SAM)
