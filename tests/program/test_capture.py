"""Capture enforces the graph contract: names, number of results, dynamic dimensions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import GraphRejected
from edgekit.program.capture import capture_decoder, capture_encoder, image_embeddings
from edgekit.records import GraphContract, Role

SMALL = image_embeddings(4, 2, 2)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.BatchNorm2d(4), nn.Dropout(0.5))

    def forward(self, image: Tensor) -> Tensor:
        return self.net(image)


def test_the_encoder_is_static_and_in_eval_mode() -> None:
    encoder = Encoder().train()
    program = capture_encoder(encoder, frame=16)

    assert program.role is Role.ENCODER
    assert [(s.name, s.shape) for s in program.inputs] == [("image", (1, 3, 16, 16))]
    assert [(s.name, s.shape) for s in program.outputs] == [("image_embeddings", (1, 4, 4, 4))]
    targets = {str(node.target) for node in program.exported.graph.nodes}
    assert not [t for t in targets if "batch_norm" in t]
    image = torch.randn(1, 3, 16, 16)
    (got,) = (program.exported.module()(image),)
    torch.testing.assert_close(got, encoder.eval()(image))


def test_the_decoder_is_dynamic_in_prompts_and_points(small_decoder: nn.Module) -> None:
    program = capture_decoder(small_decoder, features=SMALL)

    assert {s.name: s.shape for s in (*program.inputs, *program.outputs)} == {
        "image_embeddings": (1, 4, 2, 2),
        "point_coords": ("prompts", "points", 2),
        "point_labels": ("prompts", "points"),
        "mask_input": (1, 1, 8, 8),
        "has_mask_input": (1,),
        "low_res_masks": ("prompts", 1, 8, 8),
        "iou_predictions": ("prompts", 1),
    }
    run = program.exported.module()
    for prompts, points in ((1, 1), (1, 64), (1024, 2)):
        masks, _ = run(
            torch.zeros(1, 4, 2, 2),
            torch.zeros(prompts, points, 2),
            torch.zeros(prompts, points),
            torch.zeros(1, 1, 8, 8),
            torch.zeros(1),
        )
        assert masks.shape == (prompts, 1, 8, 8)


def test_a_wrong_argument_name_is_rejected() -> None:
    class Misnamed(nn.Module):
        def forward(self, picture: Tensor) -> Tensor:
            return picture * 2

    with pytest.raises(GraphRejected, match=r"(?s)picture.*Expected: image"):
        capture_encoder(Misnamed(), frame=16)


def test_a_missing_result_is_rejected(small_decoder: nn.Module) -> None:
    class Maskless(nn.Module):
        def forward(
            self,
            image_embeddings: Tensor,
            point_coords: Tensor,
            point_labels: Tensor,
            mask_input: Tensor,
            has_mask_input: Tensor,
        ) -> Tensor:
            masks, _ = small_decoder(
                image_embeddings, point_coords, point_labels, mask_input, has_mask_input
            )
            return masks

    with pytest.raises(GraphRejected, match=r"(?s)1 tensors.*low_res_masks, iou_predictions"):
        capture_decoder(Maskless(), features=SMALL)


@pytest.mark.parametrize("prompts", [1, 4])
def test_fixed_slots_make_a_static_program_of_the_same_function(
    small_decoder: nn.Module, prompts: int
) -> None:
    fixed = capture_decoder(small_decoder, features=SMALL, slots=5, prompts=prompts)

    assert {s.name: s.shape for s in (*fixed.inputs, *fixed.outputs)} == {
        "image_embeddings": (1, 4, 2, 2),
        "point_coords": (prompts, 5, 2),
        "point_labels": (prompts, 5),
        "mask_input": (1, 1, 8, 8),
        "has_mask_input": (1,),
        "low_res_masks": (prompts, 1, 8, 8),
        "iou_predictions": (prompts, 1),
    }
    feeds = [torch.randn(spec.shape) for spec in fixed.inputs]
    dynamic = capture_decoder(small_decoder, features=SMALL)
    torch.testing.assert_close(fixed.exported.module()(*feeds), dynamic.exported.module()(*feeds))


class TwoFeatures(nn.Module):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return image[:, :, ::4, ::4] * 2, image[:, :1] + 1


class MasklessDecoder(nn.Module):
    def forward(
        self, image_embeddings: Tensor, fine: Tensor, point_coords: Tensor, point_labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        level = (point_coords.sum(dim=(1, 2)) + point_labels.sum(dim=1))[:, None]
        return level[..., None, None] * fine, level + image_embeddings.mean(), level


def test_a_model_may_have_a_contract_of_its_own() -> None:
    """With more features, no mask prompt and more outputs, shapes follow from the encoder."""
    contract = GraphContract(
        features=("image_embeddings", "fine"),
        prompts=("point_coords", "point_labels"),
        answers=("low_res_masks", "iou_predictions", "object_score_logits"),
    )
    encoder = capture_encoder(TwoFeatures(), frame=8, contract=contract)
    decoder = capture_decoder(MasklessDecoder(), features=encoder.outputs, contract=contract)

    assert {s.name: s.shape for s in encoder.outputs} == {
        "image_embeddings": (1, 3, 2, 2),
        "fine": (1, 1, 8, 8),
    }
    assert decoder.inputs[:2] == encoder.outputs
    assert {s.name: s.shape for s in (*decoder.inputs[2:], *decoder.outputs)} == {
        "point_coords": ("prompts", "points", 2),
        "point_labels": ("prompts", "points"),
        "low_res_masks": ("prompts", 1, 8, 8),
        "iou_predictions": ("prompts", 1),
        "object_score_logits": ("prompts", 1),
    }
