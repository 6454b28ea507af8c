"""What the outcome of a cell depends on, as digests. Nothing is downloaded and no torch imported.

The weights' digest of a published checkpoint is the registry's, so that a cell has its key before
the file is there.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from edgekit import catalog, store
from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import WeightsUnavailable
from edgekit.matrix.cells import Cell, Host, Identity
from edgekit.models import registry
from edgekit.models.checkpoints import bundled_path, locate
from edgekit.records import CheckpointFile, ModelRow, Target, WeightsSource


def identity_of(cell: Cell, target: Target, host: Host) -> Identity:
    """The identity of a cell, whose target is given as its profile, on a host.

    Raises:
        UnknownName: there is no such model.
        BadInput: the weights or photos that the cell names are not there.
    """
    row = registry.model(cell.model)
    return Identity(
        model=cell.model,
        target=cell.target,
        weights=_weights_digest(row.name, cell.weights),
        profile=store.content_key(json.dumps(asdict(target), sort_keys=True)),
        photos=_photos_digest(cell.photos),
        code=code_of(row, target),
        host=host,
    )


def has_weights(row: ModelRow) -> bool:
    """Whether edgekit can have weights without the user: by download, or because it ships them."""
    published = [file.sha256 for file in row.checkpoints]
    return bundled_path(row) is not None or (bool(published) and None not in published)


@cache
def _weights_digest(model: str, weights: tuple[str, ...]) -> str:
    row = registry.model(model)
    official = [_published_digest(file) for file in row.checkpoints]
    if weights in ((), ("official",)) and official and None not in official:
        return store.content_key("official", *map(str, official))
    try:
        source = locate(row, weights or ("bundled",))
    except WeightsUnavailable as error:
        return store.content_key("unavailable", error.what)
    return store.content_key(source.kind, *_files_of(source))


def _published_digest(file: CheckpointFile) -> str | None:
    """The digest that is published, or that of the user's copy; None if there is neither."""
    copy = store.checkpoint_dir() / file.filename
    return file.sha256 or (store.sha256_of(copy) if copy.is_file() else None)


def _files_of(source: WeightsSource) -> tuple[str, ...]:
    """Digests with the key of `FILE#KEY`; the seed of seeded weights."""
    if source.seed is not None:
        return (str(source.seed),)
    return tuple(f"{file.sha256}#{file.path.partition('#')[2]}" for file in source.files)


@cache
def _photos_digest(named: str | None) -> str:
    """The digest of the photos that are compared and of those that edgekit calibrates on."""
    compared = catalog.photos_from(Path(named)) if named else catalog.image_set()
    photos = (*compared.photos, *catalog.calibration_set().photos)
    return store.content_key(*(store.sha256_of(photo.path) for photo in photos))


def code_of(row: ModelRow, target: Target) -> str:
    """The digest of the code that a model's outcome for a target depends on."""
    runtime = runtime_row(target.runtime)
    own = (runtime.lowers, runtime.opens, runtime.emulator, runtime.bundle_files)
    modules = ("edgekit.pipeline", row.builder.partition(":")[0], *filter(None, own))
    return store.content_key(*map(_module_digest, modules))


@cache
def _module_digest(module: str) -> str:
    return store.code_digest(module)
