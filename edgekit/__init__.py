"""edgekit: Segment-Anything models from a PyTorch checkpoint to a verified artifact on the edge."""

__version__ = "0.1.0"
