"""Published techniques of INT8 that no target uses; each module says what it gained.

They are run by `tests/benchmarks/bench_attention.py`, and need the extra `techniques`.
"""
