"""Let a module name the form of itself that compilers should see.

Some rewrites need to know an architecture (which of two sides of an attention is short, what all
prompts share), and that knowledge lives with the model's definition. The definition stays the
reference; the form must be the same function of the same weights.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class HasExportedForm(Protocol):
    """A module that is exported as another one."""

    def exported_form(self) -> nn.Module:
        """A module with the same `forward`; it may share submodules with this one."""


def exported_form(module: nn.Module) -> nn.Module:
    """The form that the module names, or the module itself."""
    return module.exported_form() if isinstance(module, HasExportedForm) else module
