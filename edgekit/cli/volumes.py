"""`edgekit predict` with a bundle that segments volumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cli.console import STDOUT, console, say, table, write_json
from edgekit.cli.options import numbers_from_text, require_writable
from edgekit.errors import BadInput

if TYPE_CHECKING:
    from edgekit.runtime import Prediction

_POINT = "x,y,z or x,y,z,label: a voxel's index along each axis; label 1 foreground, 0 background"


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeOptions:
    """What the command line says of a volume.

    `points` are the texts of `--point`, in order. `photo_options` are the names of options that
    were given and that only photos take.
    """

    volume: Path
    points: tuple[str, ...]
    out: Path | None
    json_file: str | None
    photo_options: tuple[str, ...] = ()


def predict_volume(bundle: Path, options: VolumeOptions) -> None:
    """Segment one object of a volume, and write or print its mask.

    Raises:
        BadInput: the bundle or an option is of photos, there is no point, a point lies outside, or
            a file cannot be read or written.
        BundleCorrupt: the bundle was changed.
        RuntimeMissing: the bundle's runtime, or nibabel for a NIfTI file, is not installed.
    """
    from edgekit.cli.bundles import read_with_warning
    from edgekit.runtime.client_kinds import volume_client
    from edgekit.runtime.prompts import checked_points
    from edgekit.runtime.volume_files import read_volume, require_volume_name, write_mask
    from edgekit.runtime.volume_predictor import VolumePredictor, require_inside

    _refuse_photo_options(options.photo_options)
    if options.out:
        require_volume_name(options.out)
        require_writable(options.out)
    clicks = [_click_from_text(text) for text in options.points]
    if not clicks:
        raise BadInput(
            "There is no prompt, and this model needs one.", expected=f"--point {_POINT}"
        )
    points, labels = checked_points(
        [point for point, _ in clicks], [label for _, label in clicks], axes=3, expected=_POINT
    )
    read = read_with_warning(bundle)
    client = volume_client(read.manifest.client)
    require_inside(points, client)
    volume = read_volume(options.volume, client.preprocessing.frame)
    predictor = VolumePredictor(read)
    predictor.set_volume(volume.voxels)
    prediction = predictor.predict(volume.turned(points), labels)
    if options.out:
        write_mask(options.out, prediction.masks[0], volume)
    _print(prediction, options)


def _refuse_photo_options(names: tuple[str, ...]) -> None:
    if names:
        raise BadInput(
            f"{' and '.join(names)} cannot be used with a volume.",
            expected="--point, --out and --json",
        )


def _click_from_text(text: str) -> tuple[tuple[float, ...], int]:
    numbers = numbers_from_text(text)
    if len(numbers) not in (3, 4) or not all(label.is_integer() for label in numbers[3:]):
        raise BadInput(
            f"--point {text} is not a point in a volume.",
            expected=_POINT,
            next_step="for example --point 64,50,71 or --point 12,80,33,0",
        )
    return tuple(numbers[:3]), int(numbers[3]) if len(numbers) == 4 else 1


def _print(prediction: Prediction, options: VolumeOptions) -> None:
    (mask,), (score,) = prediction.masks, prediction.scores
    voxels, share, file = int(mask.sum()), float(mask.mean()), options.out
    if options.json_file:
        row = {"score": float(score), "voxels": voxels, "volume_share": share}
        found = {"masks": [{**row, "file": str(file) if file else None}]}
        write_json(found, options.json_file)
    if options.json_file == STDOUT:
        return
    columns = ("score", "voxels", "of the volume")
    listed = table(*columns, right=columns)
    listed.add_row(f"{score:.3f}", str(voxels), f"{share:.1%}")
    console().print(listed)
    say(f"Mask: {file}" if file else "Add --out mask.npy to write the mask.")
