"""From a torch module to a checked ONNX graph: capture, rewrite, lower, lint."""
