"""A decoder as it is exported: the photo's part, then the prompts' part."""

from __future__ import annotations

from torch import Tensor, nn

from edgekit.program.capture import Program, capture_decoder, capture_encoder
from edgekit.program.passes.exported_form import exported_forms
from edgekit.records import GraphContract


def as_exported(decoder: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
    """The results of both parts, for the decoder's own inputs."""
    form = decoder.exported_form()
    prompts = 4  # coordinates, labels, masks, whether there is one
    return form(*form.photo_side()(*inputs[:-prompts]), *inputs[-prompts:])


class Patches(nn.Module):
    """An encoder of one layer: [1, 3, frame, frame] -> [1, 256, frame / 16, frame / 16]."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 256, 16, 16)

    def forward(self, image: Tensor) -> Tensor:
        return self.patches(image)


def captured(decoder: nn.Module, *, frame: int = 1024, slots: int | None = None) -> Program:
    """The program of a decoder that takes the image embedding alone."""
    forms = exported_forms(Patches(), decoder, GraphContract())
    encoder = capture_encoder(forms.encoder, frame=frame, contract=forms.contract)
    assert forms.decoder is not None
    return capture_decoder(
        forms.decoder, features=encoder.outputs, slots=slots, contract=forms.contract
    )
