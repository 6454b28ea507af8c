"""Let a module provide the form of itself that is exported.

Some rewrites depend on the architecture (which side of an attention is short, what all prompts
share), so they live with the model's definition. The definition stays the reference. The exported
form must be the same function of the same weights.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class HasExportedForm(Protocol):
    """A module that is exported as another module."""

    def exported_form(self) -> nn.Module:
        """A module with the same `forward`; it may share submodules with this one."""


def exported_form(module: nn.Module) -> nn.Module:
    """The form that the module provides, or the module itself."""
    return module.exported_form() if isinstance(module, HasExportedForm) else module
