"""Run a bundle on a device with NumPy, Pillow and the target's runtime. No PyTorch.

predictor = Predictor("dist/nanosam-x86-fp32")
predictor.set_image("photo.jpg")
masks, scores, low_res_logits = predictor.predict(box=[40, 60, 300, 420])
"""

from edgekit.runtime.overlay import draw, draw_segments
from edgekit.runtime.photo import load_photo
from edgekit.runtime.prediction import Prediction
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.prompts import Prompt
from edgekit.runtime.proposals import read_proposals
from edgekit.runtime.volume_predictor import VolumePredictor

__all__ = [
    "Prediction",
    "Predictor",
    "Prompt",
    "VolumePredictor",
    "draw",
    "draw_segments",
    "load_photo",
    "read_proposals",
]
