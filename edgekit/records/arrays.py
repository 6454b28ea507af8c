"""Array types, and the session that runs a graph on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Rgb = npt.NDArray[np.uint8]  # [H, W, 3], RGB
Feeds = Mapping[str, FloatArray]


class Session(Protocol):
    """One opened graph: float32 arrays in, float32 arrays out, by name."""

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run the graph once. Shapes are those of the artifact's `TensorSpec`s."""
        ...
