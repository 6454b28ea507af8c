"""Decide in which precision each node computes, and why. The result is a plan."""
