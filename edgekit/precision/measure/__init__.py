"""Measure the range of every node on real photos."""
