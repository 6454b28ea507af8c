"""For TensorRT: the artifact is typed ONNX, from which an engine is built on the device itself.

An engine fits only the GPU and the version of TensorRT that it was built on. So a bundle ships what
every TensorRT 10 and 11 builds from: ONNX whose types give the precision of each operator, and a
build.sh. Where TensorRT and a GPU are at hand, the engine is built at once.
"""

from edgekit.lowering.tensorrt.typed_onnx import lower

__all__ = ["lower"]
