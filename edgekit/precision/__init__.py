"""Which node of a program computes in which precision: measured, decided, applied, checked.

`ranges` measures every node on real photos and prompts; `fp16` (and the INT8 recipes) decide from
that; the plan is a record, written into the bundle; applying it is a rewrite of the captured
program, so that every lowering honours the same plan.
"""
