"""An encoder and a decoder whose masks are known: the prompt's box, or squares around its point."""

from __future__ import annotations

import numpy as np


class Encoder:
    def run(self, _):
        return {"image_embeddings": np.zeros((1, 256, 64, 64), np.float32)}


class BoxDrawer:
    """Fills the prompt's box; for a point, masks 0 to 3 are squares of four sizes around it.

    Mask 1, the smallest, has the highest predicted IoU. Masks have a quarter of the frame's size.
    """

    def run(self, feeds):
        coords, labels = feeds["point_coords"], feeds["point_labels"]
        logits = np.full((len(coords), 4, 256, 256), -5, np.float32)
        for row, (places, codes) in enumerate(zip(coords, labels, strict=True)):
            if (codes == 2).any():
                (x0, y0), (x1, y1) = places[codes == 2][0] / 4, places[codes == 3][0] / 4
                logits[row, :, round(y0) : round(y1), round(x0) : round(x1)] = 5
                continue
            x, y = (places[codes == 1][0] / 4).round().astype(int)
            for mask, reach in enumerate((40, 10, 20, 80)):
                top, left = max(y - reach, 0), max(x - reach, 0)
                logits[row, mask, top : y + reach, left : x + reach] = 5
        scores = np.tile(np.float32([0.5, 0.9, 0.3, 0.2]), (len(coords), 1))
        return {"low_res_masks": logits, "iou_predictions": scores}
