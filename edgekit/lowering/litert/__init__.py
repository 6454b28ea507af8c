"""For LiteRT (TensorFlow Lite): the artifact is a flatbuffer, `<role>.tflite`."""

from edgekit.lowering.litert.file import lower

__all__ = ["lower"]
