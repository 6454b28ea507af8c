"""One rewrite per file, each with its test.

A pass takes a torch module or an ONNX model and returns a rewritten one; it never changes what it
was given, and the result computes the same numbers. Passes over modules come before capture, so
that every lowering (ONNX, Core ML, LiteRT) profits; passes over ONNX repair what the exporter adds.
"""
