"""A decoder with an exported form is exported in it, and may leave work to the encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.program.capture import capture_encoder
from edgekit.program.passes.exported_form import exported_form, exported_forms
from edgekit.records import GraphContract, Role


class Swapped(nn.Module):
    """A decoder with a given exported form."""

    def __init__(self, form: nn.Module) -> None:
        super().__init__()
        self.form = form

    def exported_form(self) -> nn.Module:
        return self.form


class PhotoSided(nn.Module):
    """A form that takes the photo's sum in place of its embedding."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def photo_side(self) -> nn.Module:
        return Sum()

    def forward(
        self,
        total: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """As the decoder."""
        image = total.expand(1, 4, 2, 2)
        return self.decoder(image, point_coords, point_labels, mask_input, has_mask_input)


class Sum(nn.Module):
    names = ("total",)

    def forward(self, image_embeddings: Tensor) -> tuple[Tensor]:
        return (image_embeddings.sum(dim=(1, 2, 3), keepdim=True),)


def test_the_named_form_is_taken(small_decoder: nn.Module) -> None:
    assert exported_form(Swapped(small_decoder)) is small_decoder
    assert exported_form(small_decoder) is small_decoder
    encoder = nn.Identity()
    forms = exported_forms(encoder, Swapped(small_decoder), GraphContract())
    assert forms.encoder is encoder
    assert forms.contract == GraphContract()
    assert type(forms.decoder) is type(small_decoder)


def test_a_form_may_move_work_to_the_encoder(small_decoder: nn.Module) -> None:
    encoder = nn.Conv2d(3, 4, 8, 8)
    forms = exported_forms(encoder, Swapped(PhotoSided(small_decoder)), GraphContract())
    program = capture_encoder(Renamed(forms.encoder), frame=16, contract=forms.contract)
    assert [(spec.name, spec.shape) for spec in program.outputs] == [("total", (1, 1, 1, 1))]
    image = torch.randn(1, 3, 16, 16)
    (total,) = program.exported.module()(image)
    torch.testing.assert_close(total, encoder(image).sum().reshape(1, 1, 1, 1))
    assert forms.contract.inputs(Role.DECODER)[0] == "total"


class Renamed(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.module(image)


def test_a_model_without_a_decoder_is_exported_as_it_is() -> None:
    encoder = nn.Identity()
    forms = exported_forms(encoder, None, GraphContract())
    assert (forms.encoder, forms.decoder) == (encoder, None)
