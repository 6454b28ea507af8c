"""SAM's predictor for volumes: encode a volume once, then answer any number of prompts.

predictor = VolumePredictor("dist/fastsam3d-x86-fp32")
predictor.set_volume(numpy.load("ct.npy"))
masks, scores, low_res_logits = predictor.predict([[64, 50, 71]], [1])
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInput
from edgekit.records import (
    NATIVE,
    BoolArray,
    Bundle,
    FloatArray,
    Label,
    MaskChoice,
    Role,
    Session,
    VolumeContract,
)
from edgekit.runtime.client_kinds import volume_client
from edgekit.runtime.coordinates import Coordinates
from edgekit.runtime.mask_choice import choose_masks
from edgekit.runtime.prediction import Prediction
from edgekit.runtime.prompts import Labels, checked_numbers, checked_points
from edgekit.runtime.resampling import bilinear
from edgekit.runtime.volume_input import volume_input

_POINTS = "points [N, 3] in voxel indices, in the order of the volume's axes"


class VolumePredictor:
    """Segments objects that clicks point at, with the files of a bundle.

    `execution` says how the files run here: natively, or on a stand-in for their runtime.

    Not thread-safe: it holds one volume.
    """

    def __init__(self, bundle: str | Path | Bundle, *, threads: int | None = None) -> None:
        """Open a bundle.

        Args:
            bundle: its folder, a .zip of it, or a bundle already read.
            threads: number of threads; None leaves it to the runtime.

        Raises:
            BadInput: the bundle segments photos.
            BundleCorrupt: a file of the bundle is missing or was changed.
            RuntimeMissing: the bundle's runtime is not installed.
        """
        from edgekit.runtime.opening import execution, open_graphs
        from edgekit.store import read_bundle

        if not isinstance(bundle, Bundle):
            bundle = read_bundle(Path(bundle))
        client = volume_client(bundle.manifest.client)
        opened = open_graphs(bundle, threads=threads)
        self._connect(client, opened[Role.ENCODER], opened[Role.DECODER])
        self.execution = execution(bundle.manifest.target)

    @classmethod
    def from_sessions(
        cls, client: VolumeContract, encoder: Session, decoder: Session
    ) -> VolumePredictor:
        """A predictor over graphs that are already open, such as the PyTorch reference's."""
        predictor = cls.__new__(cls)
        predictor._connect(client, encoder, decoder)
        return predictor

    def _connect(self, client: VolumeContract, encoder: Session, decoder: Session) -> None:
        self.client = client
        self.execution = NATIVE
        self._encoder = encoder
        self._decoder = decoder
        self._features: dict[str, FloatArray] | None = None

    def set_volume(self, volume: npt.ArrayLike) -> None:
        """Encode a volume. All prompts refer to it until the next call.

        Args:
            volume: [side, side, side] of whole or floating-point numbers, whose axes lead to the
                patient's right, front and head; `client.preprocessing.frame` is the side.

        Raises:
            BadInput: it has another shape, is not made of finite numbers, or cannot be normalised.
                No volume is set afterwards, not even the previous one.
        """
        self._features = None
        image = volume_input(volume, self.client.preprocessing)
        self._features = self._encoder.run({"image": image})

    def predict(
        self,
        points: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        mask: npt.ArrayLike | None = None,
        multimask: bool = False,
    ) -> Prediction:
        """Segment one object. The points are clicks; each refines the mask of those before it.

        Args:
            points: [N, 3] voxel indices in the order of the volume's axes.
            labels: [N], 1 foreground, 0 background.
            mask: [side, side, side] low-res logits of an earlier prediction, to go on from.
            multimask: return the family's several masks after the last click instead of one.

        Returns:
            Masks [M, D, H, W] of the volume's size, scores [M] and low-res logits [M, side, side,
            side].

        Raises:
            BadInput: no volume is set, there is no point, one lies outside the volume, or an array
                has another shape or is not made of finite numbers.
        """
        features = self._encoded()
        clicks, codes = self._clicks(points, labels)
        logits = self._first_mask(mask)
        chosen, last = self.client.single, len(clicks) - 1
        for index, (click, code) in enumerate(zip(clicks, codes, strict=True)):
            if multimask and index == last:
                chosen = self.client.multimask
            feeds = click_feeds(click, int(code), logits)
            low_res, scores = choose(self._decoder.run({**features, **feeds}), chosen)
            logits = low_res[0]
        return Prediction(voxels_inside(low_res, self.client), scores, low_res)

    def _encoded(self) -> dict[str, FloatArray]:
        if self._features is None:
            raise BadInput(
                "No volume is set.",
                expected="set_volume before the first prompt",
                next_step="predictor.set_volume(volume)",
            )
        return self._features

    def _clicks(self, points: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Coordinates, Labels]:
        clicks, codes = checked_points(points, labels, axes=3, expected=_POINTS)
        if not len(clicks):
            raise BadInput("The prompt has no point.", expected=_POINTS)
        require_inside(clicks, self.client)
        return clicks, codes

    def _first_mask(self, mask: npt.ArrayLike | None) -> FloatArray:
        sides = (self.client.side,) * 3
        if mask is None:
            return np.zeros(sides, np.float32)
        expected = f"low-res logits {list(sides)}, as predict() returned them"
        logits = checked_numbers(mask, name="mask", expected=expected)
        if logits.shape != sides:
            raise BadInput(
                f"The mask cannot have the shape {list(logits.shape)}.", expected=expected
            )
        return logits.astype(np.float32)


def require_inside(points: Coordinates, client: VolumeContract) -> None:
    """Check that points [N, 3] lie in the volume.

    Raises:
        BadInput: one does not.
    """
    last = client.preprocessing.frame - 1
    inside = ((points >= 0) & (points <= last)).all(axis=1)  # NaN is outside
    if not inside.all():
        place = ", ".join(f"{along:g}" for along in points[int(inside.argmin())])
        raise BadInput(
            f"The point ({place}) lies outside the volume.",
            expected=f"voxel indices from 0 to {last} along each axis",
        )


def click_feeds(click: Coordinates, label: int, mask: FloatArray) -> dict[str, FloatArray]:
    """The decoder's inputs for one click [3], except the encoder's outputs (`VolumeContract`)."""
    return {
        "point_coords": np.stack([click, np.zeros(3)])[None].astype(np.float32),
        "point_labels": np.array([[label, Label.PADDING]], np.float32),
        "mask_input": mask[None, None],
        "has_mask_input": np.ones(1, np.float32),
    }


def choose(result: dict[str, FloatArray], choice: MaskChoice) -> tuple[FloatArray, FloatArray]:
    """The chosen masks' logits [M, side, side, side] and scores [M] of a decoder's result."""
    low_res, scores = choose_masks(choice, result["low_res_masks"], result["iou_predictions"])
    return low_res[0], scores[0]


def voxels_inside(low_res: FloatArray, client: VolumeContract) -> BoolArray:
    """Masks [M, frame, frame, frame] for logits [M, side, side, side], enlarged trilinearly."""
    enlarging = bilinear(client.side, client.preprocessing.frame).T.astype(np.float32)
    enlarged = low_res
    for _ in range(3):  # enlarge the first axis of the volume and make it the last
        enlarged = np.moveaxis(enlarged, 1, -1) @ enlarging
    masks: BoolArray = enlarged > 0
    return masks
