"""Captured programs: capture, rewrite, save, walk, and count the work."""
