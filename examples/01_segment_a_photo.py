"""Segment one object and draw it.

python examples/01_segment_a_photo.py dist/nanosam-x86-fp32 photo.jpg 320 240 mask.png
"""

from __future__ import annotations

import sys

from edgekit.runtime import Prediction, Predictor, Prompt, draw, load_photo


def main(bundle: str, photo: str, x: str, y: str, out: str) -> None:
    """Ask for the object at (x, y) and draw the candidate with the best score."""
    pixels = load_photo(photo)
    predictor = Predictor(bundle)
    predictor.set_image(pixels)

    point = [[float(x), float(y)]]
    masks, scores, logits = predictor.predict(point, [1], multimask=True)
    best = [int(scores.argmax())]
    print(f"{len(masks)} candidates; the best covers {masks[best].mean():.1%} of the photo")

    prompt = Prompt.checked(points=point, labels=[1])
    chosen = Prediction(masks[best], scores[best], logits[best])
    draw(pixels, [chosen], [prompt]).save(out)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
