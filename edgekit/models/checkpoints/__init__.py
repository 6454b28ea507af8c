"""Where weights come from (`locate`, without torch) and how they enter a model (`load`)."""

from edgekit.models.checkpoints.locate import bundled_path, locate

__all__ = ["bundled_path", "locate"]
