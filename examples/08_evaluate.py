"""Score a bundle's masks against annotations. Needs no PyTorch, so it also runs on the device.

python examples/08_evaluate.py dist/nanosam-x86-fp32 calibration/default/instances.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgekit import EvaluateRequest, evaluate


def main(bundle: str, annotations: str) -> None:
    """Print the mean IoU of each kind of prompt over all instances."""
    evaluation = evaluate(EvaluateRequest(bundle=Path(bundle), annotations=Path(annotations)))
    overall = evaluation.means[0]
    print(f"{overall.instances} instances on {evaluation.photos} photos")
    for kind, iou in overall.iou.items():
        print(f"{kind:15}{iou:.3f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
