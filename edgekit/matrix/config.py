"""What a matrix is asked for: a TOML file, and options that override it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from edgekit.catalog.tables import record_from_toml
from edgekit.errors import BadInput
from edgekit.matrix.cells import Measure
from edgekit.store import Malformed, user_path

RESULTS = Path("matrix-results")
_MOST = {"timeout": 1e7, "memory": 1e6}
"""A hundred days in seconds, and a petabyte in GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRequest:
    """The cells of a matrix, and where their results are.

    Attributes:
        models, targets: names, globs, words and files of targets, as `selection` reads them. If
            both are empty, nothing runs and the results folder is shown as it is.
        weights: values of `--weights` by model, "*" for all models.
        photos: as for `edgekit verify`; None takes edgekit's own.
        measures: what is measured of each bundle.
        results: the results folder.
        shard: "i/n" to run only part i of n.
        resume: do not run cells again that could not run or timed out.
        known_failures: a table of known failures; None takes that of the results folder, if any.
    """

    models: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    weights: dict[str, tuple[str, ...]] = field(default_factory=dict)
    photos: str | None = None
    measures: tuple[Measure, ...] = (Measure.VERIFY,)
    results: Path = RESULTS
    shard: str | None = None
    resume: bool = False
    known_failures: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The TOML file of `edgekit matrix CONFIG.toml`. Paths are relative to the working directory.

    models = ["canary"]
    targets = ["x86-*", "jetson-*"]
    measure = ["verify", "bench"]
    timeout = 900              # seconds of a cell
    memory = 12.0              # GB of a cell

    [weights]
    "*" = ["seeded"]
    nanosam = ["resnet18_image_encoder.onnx", "mobile_sam.pt"]
    """

    models: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    weights: dict[str, tuple[str, ...]] = field(default_factory=dict)
    photos: str | None = None
    measure: tuple[Measure, ...] = ()
    results: str | None = None
    known_failures: str | None = None
    fleet: str | None = None
    timeout: float | None = None
    memory: float | None = None


def overridden(config: Config, by: Config) -> Config:
    """The configuration with the values that `by` sets, which are not empty, in place of its own.

    Weights are overridden model by model.
    """
    given = {each.name: value for each in fields(by) if (value := getattr(by, each.name))}
    return replace(config, **{**given, "weights": {**config.weights, **by.weights}})


def request_from(
    config: Config, *, shard: str | None = None, resume: bool = False
) -> MatrixRequest:
    """The request of a configuration."""
    return MatrixRequest(
        models=config.models,
        targets=config.targets,
        weights=config.weights,
        photos=config.photos,
        measures=config.measure or (Measure.VERIFY,),
        results=user_path(config.results) if config.results else RESULTS,
        shard=shard,
        resume=resume,
        known_failures=user_path(config.known_failures) if config.known_failures else None,
    )


def read_config(path: Path) -> Config:
    """Read a configuration.

    Raises:
        BadInput: it is not there, or does not read; all errors are listed.
    """
    try:
        config = record_from_toml(Config, path)
        _require_verdict_and_limits(config)
    except Malformed as error:
        raise BadInput(
            f"The configuration {path} cannot be read: {error}",
            expected="models, targets, weights, photos, measure, results, known_failures, fleet, "
            "timeout, memory",
            next_step="edgekit matrix --help",
        ) from error
    return config


def _require_verdict_and_limits(config: Config) -> None:
    problems = [
        f"{name}: must be above 0, and at most {most:,.0f}"
        for name, most in _MOST.items()
        if (value := getattr(config, name)) is not None and not 0 < value <= most
    ]
    if config.measure and Measure.VERIFY not in config.measure:
        problems.append("measure: verify is missing, and without a verdict a cell has no state")
    if problems:
        raise Malformed(tuple(problems))
