"""For Core ML: one `.mlpackage` per graph. The conversion needs no Mac."""

from edgekit.lowering.coreml.package import lower

__all__ = ["lower"]
