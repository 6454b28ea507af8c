"""A bundle's rules, where only those of one kind will do."""

from __future__ import annotations

from edgekit.errors import BadInput
from edgekit.records import Client, PhotoClient, VolumeContract


def photo_client(client: Client) -> PhotoClient:
    """The rules of a model that segments photos.

    Raises:
        BadInput: the model segments volumes.
    """
    if isinstance(client, VolumeContract):
        raise BadInput(
            "This model segments volumes, not photos.",
            expected="a model of photos here; a model of volumes is exported, verified and asked "
            "for masks by `export`, `verify` and `predict` alone",
            next_step="edgekit predict BUNDLE VOLUME.npy --point X,Y,Z --out MASK.npy",
        )
    return client


def volume_client(client: Client) -> VolumeContract:
    """The rules of a model that segments volumes.

    Raises:
        BadInput: the model segments photos.
    """
    if not isinstance(client, VolumeContract):
        raise BadInput(
            "This model segments photos, not volumes.",
            expected="a model of volumes, such as fastsam3d",
            next_step="use Predictor, or edgekit predict BUNDLE PHOTO",
        )
    return client
