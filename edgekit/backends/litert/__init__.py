"""LiteRT (TensorFlow Lite) on the CPU: the artifact is a flatbuffer, `<role>.tflite`."""

from edgekit.backends.litert.lowering import lower
from edgekit.backends.litert.opening import execution, open_artifact, probe

__all__ = ["execution", "lower", "open_artifact", "probe"]
