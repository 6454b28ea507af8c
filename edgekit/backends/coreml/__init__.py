"""Core ML: the artifact is one `.mlpackage` per graph.

Converting needs no Mac. On macOS Core ML runs the package; elsewhere the evaluator in `mil` does,
and the verdict says `emulated`.
"""

from edgekit.backends.coreml.lowering import lower
from edgekit.backends.coreml.opening import execution, open_artifact, probe

__all__ = ["execution", "lower", "open_artifact", "probe"]
