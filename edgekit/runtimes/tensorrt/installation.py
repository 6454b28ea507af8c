"""TensorRT and the GPU of this machine, and whether an engine fits them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from edgekit.errors import RuntimeMissing
from edgekit.records import Artifact, EngineRecord, Session, Target
from edgekit.runtimes.tensorrt import build_engine
from edgekit.runtimes.tensorrt.engine import REBUILD, EngineSession, unfit


def find_installation() -> Installation | str:
    """The installation, or a phrase that says what is missing."""
    if find_spec("tensorrt") is None:
        return "TensorRT is not installed"
    try:
        trt = importlib.import_module("tensorrt")
        return Installation(trt=trt, gpu=build_engine.gpu())
    # TensorRT's bindings are a package of their own. Without the libraries the import fails with
    # "libnvonnxparser.so.11: cannot open shared object file" (11.4).
    except ImportError as error:
        return f"TensorRT does not load ({error})"
    except build_engine.Failed as error:
        return str(error)


def installation_for(target: Target) -> Installation | str:
    """The installation if it serves the target, or a phrase that says what is missing."""
    here = find_installation()
    if isinstance(here, Installation) and not here.serves(target):
        return f"TensorRT {here.version} is not {target.runtime_versions}"
    return here


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Installation:
    """TensorRT's bindings and the facts about the first GPU (`build_engine.gpu`)."""

    trt: ModuleType
    gpu: dict[str, str]

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    def serves(self, target: Target) -> bool:
        """Whether the target accepts this version."""
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(target.runtime_versions).contains(self.version, prereleases=True)

    def open(self, artifact: Artifact, folder: Path) -> Session:
        """A session over the artifact's engine.

        Raises:
            RuntimeMissing: there is no engine, or it was built elsewhere or from another file.
        """
        record = artifact.engine
        if record is None:
            raise RuntimeMissing(
                f"There is no {artifact.role} engine yet. TensorRT {self.version} is installed.",
                next_step=REBUILD,
            )
        if why := self._misfit(record, artifact):
            raise unfit(artifact, why)
        return EngineSession(self.trt, (folder / record.file.path).read_bytes(), artifact)

    def _misfit(self, record: EngineRecord, artifact: Artifact) -> str | None:
        (source,) = (file for file in artifact.files if file.path == artifact.entry)
        if record.source_sha256 != source.sha256:
            return f"it was built from another {artifact.entry}"
        if record.tensorrt.split(".")[:3] != self.version.split(".")[:3]:
            return (
                f"it was built by TensorRT {record.tensorrt}, and this machine has {self.version}"
            )
        built_on = (record.gpu, record.compute_capability)
        here = (self.gpu["gpu"], self.gpu["compute_capability"])
        if built_on != here:
            return f"it was built on {' '.join(built_on)}, and this machine has {' '.join(here)}"
        return None
