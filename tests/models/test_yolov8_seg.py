"""FastSAM's network at a toy size: shapes, the meaning of the outputs, and export."""

from __future__ import annotations

import copy

import pytest
import torch

from edgekit.models.encoders.yolov8_seg import YoloSize, YoloV8Seg

TOY = YoloSize(widths=(8, 8, 16, 16, 16), depths=(1, 1, 1, 1), bins=4)
FRAME = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2


@pytest.fixture(scope="module")
def network() -> YoloV8Seg:
    torch.manual_seed(0)
    network = YoloV8Seg(TOY, frame=FRAME).eval()
    network.model[22].dfl.conv.weight.data[:] = torch.arange(TOY.bins).reshape(1, -1, 1, 1)
    return network


def test_outputs_for_a_photo_that_is_not_square(network: YoloV8Seg) -> None:
    with torch.no_grad():
        boxes, scores, coefficients, prototypes = network(torch.rand(1, 3, 64, 96))
    count = CELLS * 3 // 2
    assert boxes.shape == (1, 4, count)
    assert scores.shape == (1, 1, count)
    assert coefficients.shape == (1, 32, count)
    assert prototypes.shape == (1, 32, 16, 24)
    assert ((scores > 0) & (scores < 1)).all()


def test_boxes_are_distances_from_the_cell(network: YoloV8Seg) -> None:
    """If every distribution is in bin 2, a box is 4 strides wide around its cell's centre."""
    certain = copy.deepcopy(network)
    for branch in certain.model[22].cv2:
        branch[2].weight.data.zero_()
        branch[2].bias.data[:] = torch.tensor([0.0, 0, 100, 0]).repeat(4)
    with torch.no_grad():
        boxes = certain(torch.rand(1, 3, FRAME, FRAME))[0][0]
    assert torch.allclose(boxes[:, 0], torch.tensor([4.0, 4, 32, 32]), atol=1e-4)
    assert torch.allclose(boxes[:, 9], torch.tensor([12.0, 12, 32, 32]), atol=1e-4)
    assert torch.allclose(boxes[:, -1], torch.tensor([48.0, 48, 128, 128]), atol=1e-4)


@pytest.mark.slow
def test_baked_cells_change_nothing(network: YoloV8Seg) -> None:
    baked = copy.deepcopy(network)
    baked.bake()
    image = torch.rand(1, 3, FRAME, FRAME)
    with torch.no_grad():
        for ours, theirs in zip(baked(image), network(image), strict=True):
            assert torch.equal(ours, theirs)
    program = torch.export.export(baked, (image,), strict=False)
    assert not [node for node in program.graph.nodes if "arange" in str(node.target)]
