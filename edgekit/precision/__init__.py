"""Which node of a program computes in which precision: measure, decide, apply.

`measure` records the range of every node on real photos and prompts. `decide` makes a plan from
the ranges; the plan is a record and part of the bundle. `apply` rewrites the captured program by
the plan, so that every lowering honours the same plan.
"""
