"""ONNX graphs: export from a captured program, passes, lint, memory estimate."""
