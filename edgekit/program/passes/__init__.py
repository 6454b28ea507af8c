"""Rewrites of a module before capture, so that every lowering profits; one per file."""
