"""Golden vectors of a model of volumes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgekit import store
from edgekit.catalog.volumes import SeededVolume, Voxel, seeded_volume
from edgekit.records import FloatArray, Label, Session, VolumeContract
from edgekit.runtime.volume_input import volume_input
from edgekit.runtime.volume_predictor import choose, click_feeds, voxels_inside

_EVERY = 4
"""Every 4th voxel of each axis of the encoder's input is kept: all would take 8 MB."""

_STAGES = {
    "image": "encoder input after normalising; of each axis, every 4th voxel",
    "the encoder's outputs": "by PyTorch",
    "NAME.CLICK.low_res_masks, NAME.CLICK.iou_predictions": "decoder outputs by PyTorch for each "
    "click, from 0",
    "NAME.mask": "0 or 1, the single mask after the last click, of the volume's size",
}


def write_volume_golden(target: Path, client: VolumeContract, sessions: Sequence[Session]) -> None:
    """Write the files into the folder `golden/` of a bundle.

    `volume.npy` holds a seeded volume, int16. `tensors.npz` holds the float32 tensors of each
    stage. `prompts.json` holds the clicks in voxel indices and a guide to the tensors.

    Args:
        target: the folder.
        client: the family's rules.
        sessions: the encoder and the decoder in PyTorch, as they are exported.
    """
    encoder, decoder = sessions
    volume = seeded_volume(0, client.preprocessing.frame)
    np.save(target / "volume.npy", volume.voxels)
    image = volume_input(volume.voxels, client.preprocessing)
    features = encoder.run({"image": image})
    prompts = _prompts(volume)
    tensors = {"image": image[:, :, ::_EVERY, ::_EVERY, ::_EVERY], **features}
    for name, prompt in prompts.items():
        tensors |= _clicked(name, prompt, client, decoder, features)
    np.savez_compressed(target / "tensors.npz", **tensors)  # type: ignore[arg-type]
    guide = {
        "volume": "volume.npy, int16",
        "tensors": _STAGES,
        "prompts": {name: asdict(prompt) for name, prompt in prompts.items()},
        "tolerance": "float32 runtimes agree to about 1e-3 of each tensor's largest value",
    }
    store.write_atomic(target / "prompts.json", json.dumps(guide, indent=2) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clicks:
    """The arguments of `VolumePredictor.predict`."""

    points: tuple[Voxel, ...]
    labels: tuple[int, ...]


def _prompts(volume: SeededVolume) -> dict[str, _Clicks]:
    first, second = volume.centres[:2]
    inside, outside = Label.FOREGROUND, Label.BACKGROUND
    return {
        "click": _Clicks(points=(first,), labels=(inside,)),
        "two_clicks": _Clicks(points=(first, second), labels=(inside, outside)),
    }


def _clicked(
    name: str,
    prompt: _Clicks,
    client: VolumeContract,
    decoder: Session,
    features: dict[str, FloatArray],
) -> dict[str, FloatArray]:
    """The tensors of one prompt, click by click."""
    logits = np.zeros((client.side,) * 3, np.float32)
    tensors: dict[str, FloatArray] = {}
    for index, (point, label) in enumerate(zip(prompt.points, prompt.labels, strict=True)):
        click = np.array(point, np.float64)
        result = decoder.run({**features, **click_feeds(click, label, logits)})
        tensors |= {f"{name}.{index}.{key}": value for key, value in result.items()}
        low_res, _ = choose(result, client.single)
        logits = low_res[0]
    mask = voxels_inside(low_res, client)[0]
    return tensors | {f"{name}.mask": mask.astype(np.float32)}
