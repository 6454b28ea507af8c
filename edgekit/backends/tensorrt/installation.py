"""TensorRT and a GPU on this machine: building engines, and opening those that fit."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from edgekit.backends.tensorrt import build_engine
from edgekit.backends.tensorrt.engine import REBUILD, EngineSession, unfit
from edgekit.backends.tensorrt.recipe import recipe_for
from edgekit.errors import GraphRejected, RuntimeMissing
from edgekit.records import Artifact, EngineRecord, FileDigest, Session, Target
from edgekit.store import sha256_of


def find_installation() -> Installation | str:
    """What is here, or in a few words what is missing."""
    if find_spec("tensorrt") is None:
        return "TensorRT is not installed"
    try:
        trt = importlib.import_module("tensorrt")
        return Installation(trt=trt, gpu=build_engine.gpu())
    except ImportError as error:  # the bindings without the libraries
        return f"TensorRT does not load ({error})"
    except build_engine.Failed as error:
        return str(error)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Installation:
    """The bindings' module and the facts of the first GPU (`build_engine.gpu`)."""

    trt: ModuleType
    gpu: dict[str, str]

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    def serves(self, target: Target) -> bool:
        """Whether this version is one that the target is for."""
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(target.runtime_versions).contains(self.version, prereleases=True)

    def build(self, artifact: Artifact, target: Target, folder: Path) -> EngineRecord:
        """Write `<role>.engine` into the folder.

        Raises:
            BadInput: an option of the target is missing or not of its form.
            GraphRejected: TensorRT does not take the graph.
        """
        recipe = recipe_for(artifact, target, folder)
        onnx, engine = str(folder / recipe.onnx), str(folder / recipe.engine)
        try:
            build_engine.build(
                self.trt,
                build_engine.Recipe(
                    onnx,
                    engine,
                    recipe.workspace_mb,
                    shapes=dict(recipe.shapes),
                    fp32_nodes=recipe.fp32_nodes,
                ),
            )
        except build_engine.Failed as error:
            raise GraphRejected(
                f"TensorRT {self.version} does not build the {artifact.role}: {error}",
                expected="a graph that its parser and builder take",
            ) from error
        return EngineRecord(
            file=FileDigest(
                path=recipe.engine,
                sha256=sha256_of(Path(engine)),
                bytes=Path(engine).stat().st_size,
            ),
            source_sha256=sha256_of(Path(onnx)),
            tensorrt=self.version,
            **self.gpu,
        )

    def open(self, artifact: Artifact, folder: Path) -> Session:
        """A session over the artifact's engine.

        Raises:
            RuntimeMissing: there is none yet, or it was built elsewhere or from another file.
        """
        record = artifact.engine
        if record is None:
            raise RuntimeMissing(
                f"There is no {artifact.role} engine yet; TensorRT {self.version} is here.",
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
            return f"it was built by TensorRT {record.tensorrt}, here is {self.version}"
        built_on = (record.gpu, record.compute_capability)
        here = (self.gpu["gpu"], self.gpu["compute_capability"])
        if built_on != here:
            return f"it was built on {' '.join(built_on)}, here is {' '.join(here)}"
        return None
