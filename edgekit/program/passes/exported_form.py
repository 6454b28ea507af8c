"""Let a module provide the form of itself that is exported.

Some rewrites depend on the architecture (which side of an attention is short, what all prompts
share), so they live with the model's definition. The definition stays the reference. The exported
form must be the same function of the same weights.

A form may also move work of the decoder to the encoder graph, which runs once per photo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from edgekit.program.passes.bake_tables import bake_tables
from edgekit.records import GraphContract


@runtime_checkable
class HasExportedForm(Protocol):
    """A module that is exported as another module."""

    def exported_form(self) -> nn.Module:
        """A module of the same function; it may share submodules with this one."""


@runtime_checkable
class HasPhotoSide(Protocol):
    """The form of a decoder that takes other features than the encoder's."""

    def photo_side(self) -> nn.Module:
        """A module from the encoder's features to `names`, the features that the form takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedForms:
    """The modules that are captured, and the tensor names between them."""

    encoder: nn.Module
    decoder: nn.Module | None
    contract: GraphContract


def exported_forms(
    encoder: nn.Module, decoder: nn.Module | None, contract: GraphContract
) -> ExportedForms:
    """The forms that the modules of one model are exported in.

    Args:
        encoder: `image` to the features of the contract.
        decoder: None for a model without one.
        contract: the tensor names of the modules given.
    """
    if decoder is not None:
        decoder = exported_form(bake_tables(decoder))
    if isinstance(decoder, HasPhotoSide):
        side = decoder.photo_side()
        encoder = _WithPhotoSide(encoder, side)
        contract = replace(contract, features=side.names)
    return ExportedForms(encoder=encoder, decoder=decoder, contract=contract)


def exported_form(module: nn.Module) -> nn.Module:
    """The form that the module provides, or the module itself."""
    return module.exported_form() if isinstance(module, HasExportedForm) else module


class _WithPhotoSide(nn.Module):
    """An encoder and what its decoder computes from the photo alone."""

    def __init__(self, encoder: nn.Module, photo_side: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.photo_side = photo_side

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """[1, 3, frame, frame] -> the features that the decoder's form takes."""
        features = self.encoder(image)
        features = features if isinstance(features, tuple) else (features,)
        return self.photo_side(*features)  # type: ignore[no-any-return]
