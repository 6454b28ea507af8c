"""Rewrites of an ONNX graph: one per file, each with its test, in one ordered table (`table`).

A pass returns a rewritten graph that computes the same numbers, up to the rounding that it states.
Rewrites that need the model's architecture work on the captured program (`program.passes`), so that
every lowering profits. The passes here repair what the ONNX exporter adds and adapt the graph to a
target.
"""
