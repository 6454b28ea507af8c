"""Finds the files that hold a model's weights, reads them and loads them into the model."""

from edgekit.models.checkpoints.locate import bundled_path, locate

__all__ = ["bundled_path", "locate"]
