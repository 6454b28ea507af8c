"""Core ML: one `.mlpackage` per graph, run by Core ML on macOS and by an evaluator elsewhere."""
