"""The records of a matrix: a cell, the machine that runs it, and what its outcome depends on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from edgekit.records.enums import StrEnum
from edgekit.store import content_key

NAME = re.compile(r"(?!.*--)[A-Za-z0-9][\w.-]{0,99}")
"""Names that models and targets can have in a matrix, where they make the names of files."""

TARGET_FILE = ".toml"
"""How the file of a target of the user's own ends. It is named as its target."""


def target_name(asked: str) -> str:
    """The name of a target that is given by its name or file."""
    return PurePath(asked).name.removesuffix(TARGET_FILE) if asked.endswith(TARGET_FILE) else asked


class Measure(StrEnum):
    """What is measured of a bundle.

    `VERIFY` compares masks with PyTorch's, `BENCH` takes times, and `EVALUATE` compares masks with
    annotations.
    """

    VERIFY = "verify"
    BENCH = "bench"
    EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One model for one target: a bundle that is exported, verified and perhaps timed.

    `weights` and `photos` are the values of these options of `edgekit export` and `edgekit verify`;
    empty and None take their defaults. `target` is a name; `target_file` is the profile's file if
    it is a user's own.
    """

    model: str
    target: str
    target_file: str | None = None
    weights: tuple[str, ...] = ()
    photos: str | None = None
    measures: tuple[Measure, ...] = (Measure.VERIFY,)

    @property
    def name(self) -> str:
        """ "MODEL--TARGET": no model or target has two hyphens in a row."""
        return f"{self.model}--{self.target}"

    @property
    def asked_target(self) -> str:
        """What `--target` takes: the file of a user's own target, or else the name."""
        return self.target_file or self.target

    @property
    def timed(self) -> bool:
        """Whether times are taken of its bundle."""
        return Measure.BENCH in self.measures

    def place(self, host: Host) -> Place:
        """Its place in a matrix when a host runs it."""
        return Place(model=self.model, weights=self.weights, target=self.target, host=host.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A kind of machine that runs cells.

    `label` is its name in the fleet. `machine` says what its outcomes and times depend on, such as
    the CPU; it is empty if no such machine can be reached. `versions` are those of Python and of
    the packages that make and run a target's files.
    """

    label: str
    machine: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the outcome of a cell depends on; `weights` to `code` are digests."""

    model: str
    target: str
    weights: str
    profile: str
    photos: str
    code: str
    host: Host

    @property
    def key(self) -> str:
        """32 hex digits. A result with this key holds for the cell, whatever its host's label."""
        versions = (f"{name} {version}" for name, version in sorted(self.host.versions.items()))
        digests = (self.weights, self.profile, self.photos, self.code)
        return content_key(self.model, self.target, *digests, self.host.machine, *versions)


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Place:
    """Where a cell's result stands in a matrix. `host` is a label; see `Cell` for the others."""

    model: str
    weights: tuple[str, ...]
    target: str
    host: str

    @property
    def title(self) -> str:
        """ "MODEL for TARGET"."""
        return f"{self.model} for {self.target}"

    @property
    def weights_text(self) -> str:
        """The weights as on the command line; "default" if none were named."""
        return " ".join(self.weights) or "default"

    @property
    def random_weights(self) -> bool:
        """Whether its weights are random numbers: no training made them."""
        return any(value.partition(":")[0] == "seeded" for value in self.weights)

    @property
    def row(self) -> tuple[str, tuple[str, ...]]:
        """Model and weights: each pair is one row."""
        return self.model, self.weights

    @property
    def column(self) -> tuple[str, str]:
        """Target and host: each pair is one column."""
        return self.target, self.host


StepName = Literal["export", "record", "build", "verify", "bench", "evaluate"]
"""In the order of their run. `record` is of cells that run on another machine, `build` of those
whose runtime builds engines on the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One edgekit command of a cell, and how it ended.

    `command` are the words to type after `edgekit`; of `build`, they are a script of the bundle's.
    `exit_code` is negative for a signal, and None
    for a process that was stopped because it took too much of `stopped`. `peak_bytes` is the most
    memory that its processes held at once. `log` are the last lines that it printed on stderr.
    """

    name: StepName
    command: tuple[str, ...]
    exit_code: int | None
    seconds: float
    peak_bytes: int
    stopped: Literal["time", "memory"] | None = None
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """A step that has ended, and the JSON that its command printed; empty if it printed none."""

    step: Step
    document: str
