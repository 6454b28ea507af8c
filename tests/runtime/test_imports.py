"""The runtime imports neither PyTorch nor the export tools, which a device lacks."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "onnx", "onnxscript", "onnxsim", "pydantic", "typer", "rich", "matplotlib")

SEGMENT = """
import sys
import numpy as np
from edgekit.records import ClientContract, MaskChoice, MaskRule, Preprocessing, PromptRule
from edgekit.runtime import Predictor, draw

class Session:
    def __init__(self, **outputs): self.outputs = outputs
    def run(self, feeds): return self.outputs

predictor = Predictor.from_sessions(
    ClientContract(
        preprocessing=Preprocessing(
            frame=1024, resample="bicubic", rounding="truncate", mean=(0, 0, 0), std=(1, 1, 1)
        ),
        prompts=PromptRule(coordinate_scale="longest_side", padding_point="never"),
        masks=MaskRule(
        single=MaskChoice(masks=(0,)), multimask=MaskChoice(masks=(1,)), upscale="straight"
    ),
    ),
    Session(image_embeddings=np.zeros(1)),
    Session(low_res_masks=np.ones((1, 4, 256, 256)), iou_predictions=np.ones((1, 4))),
)
photo = np.zeros((30, 40, 3), np.uint8)
predictor.set_image(photo)
draw(photo, [predictor.predict(box=[1, 2, 3, 4])])
"""


def test_predicting_imports_nothing_heavy() -> None:
    script = f"{SEGMENT}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
