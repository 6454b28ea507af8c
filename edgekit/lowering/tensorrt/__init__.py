"""For TensorRT: the artifact is typed ONNX, and the device builds an engine from it.

An engine fits only the GPU and the TensorRT version that built it. A bundle therefore ships ONNX
whose types give the precision of each operator, and a build.sh. If TensorRT and a GPU are here, the
export also builds the engine.
"""

from edgekit.lowering.tensorrt.typed_onnx import lower

__all__ = ["lower"]
