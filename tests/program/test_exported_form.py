"""A decoder with an exported form is captured in that form."""

from __future__ import annotations

import torch
from torch import nn

from edgekit.program.capture import capture_decoder, image_embeddings
from edgekit.program.passes.exported_form import exported_form


class Swapped(nn.Module):
    """A decoder with a given exported form."""

    def __init__(self, form: nn.Module) -> None:
        super().__init__()
        self.form = form

    def exported_form(self) -> nn.Module:
        return self.form


def test_the_named_form_is_taken(small_decoder: nn.Module) -> None:
    assert exported_form(Swapped(small_decoder)) is small_decoder
    program = capture_decoder(Swapped(small_decoder.train()), features=image_embeddings(4, 2, 2))
    assert any(node.target is torch.ops.aten.gelu.default for node in program.exported.graph.nodes)


def test_others_are_taken_as_they_are(small_decoder: nn.Module) -> None:
    assert exported_form(small_decoder) is small_decoder
