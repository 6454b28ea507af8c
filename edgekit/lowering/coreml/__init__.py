"""For Core ML: the artifact is one `.mlpackage` per graph. Converting needs no Mac."""

from edgekit.lowering.coreml.package import lower

__all__ = ["lower"]
