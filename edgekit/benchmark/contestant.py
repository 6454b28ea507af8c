"""What is timed: a bundle, or the PyTorch model that a bundle was made from.

A contestant is sent to a worker process, so it is plain data; `open_sessions` runs there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.records import (
    Bundle,
    PhotoClient,
    PromptShape,
    Role,
    Session,
    WeightsSource,
)
from edgekit.runtime import Predictor
from edgekit.runtime.client_kinds import photo_client

Kind = Literal["bundle", "eager", "compile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One line of the table.

    name: its name there, unique. runtime: the target's runtime, with its version if it is
    installed. execution: "native", or "emulated by" and the stand-in. bytes: size of the files
    that are loaded. bundle: its folder, if `kind` is "bundle". model, weights: of the PyTorch
    model, for the other kinds. decodes: whether it has a decoder for prompts; a model of one graph
    has none.
    """

    name: str
    kind: Kind
    runtime: str
    execution: str
    bytes: int
    bundle: Path | None = None
    model: str | None = None
    weights: WeightsSource | None = None
    decodes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """Graphs that are ready to run, and the client's rules around them."""

    client: PhotoClient
    encoder: Session
    decoder: Session | None
    prompt_slots: tuple[int, ...] = ()
    prompt_batches: tuple[PromptShape, ...] = ()

    def predictor(self) -> Predictor:
        """A predictor over the graphs."""
        return Predictor.from_sessions(
            self.client,
            self.encoder,
            self.decoder,
            prompt_slots=self.prompt_slots,
            prompt_batches=self.prompt_batches,
        )


def bundle_contestant(bundle: Bundle) -> Contestant:
    """A bundle, named after its folder. A stand-in runs it where its runtime cannot."""
    from edgekit.runtime.opening import execution
    from edgekit.runtimes import probe

    target = bundle.manifest.target
    version = probe(target.runtime).version
    files = [file for artifact in bundle.manifest.artifacts for file in artifact.files]
    return Contestant(
        name=bundle.name,
        kind="bundle",
        runtime=f"{target.runtime} {version}" if version else target.runtime,
        execution=execution(target).label,
        bytes=sum(file.bytes for file in files),
        bundle=bundle.path,
        decodes=photo_client(bundle.manifest.client).decodes,
    )


def pytorch_contestant(
    model: str, weights: WeightsSource, *, kind: Literal["eager", "compile"]
) -> Contestant:
    """The reference model in float32, as it is or through torch.compile.

    Raises:
        RuntimeMissing: PyTorch is not installed.
    """
    from importlib import metadata

    from edgekit.errors import RuntimeMissing
    from edgekit.models import registry

    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError as error:
        raise RuntimeMissing(
            "PyTorch is not installed, so it cannot be timed.",
            next_step="pip install 'edgekit[export]', or leave out --against",
        ) from error
    return Contestant(
        name=f"PyTorch {kind}",
        kind=kind,
        runtime=f"torch {version}",
        execution="native",
        bytes=sum(file.bytes for file in weights.files),
        model=model,
        weights=weights,
        decodes=Role.DECODER in registry.model(model).graph.roles,
    )


def open_sessions(contestant: Contestant, threads: int) -> Opened:
    """Load a contestant; its runtime uses `threads` CPU threads."""
    if contestant.kind == "bundle":
        return _open_bundle(contestant, threads)
    return _open_pytorch(contestant, threads)


def _open_bundle(contestant: Contestant, threads: int) -> Opened:
    from edgekit.runtime.opening import open_graphs
    from edgekit.store import read_bundle

    assert contestant.bundle is not None
    bundle = read_bundle(contestant.bundle)
    opened = open_graphs(bundle, threads=threads, timed=True)
    return Opened(
        client=photo_client(bundle.manifest.client),
        encoder=opened[Role.ENCODER],
        decoder=opened.get(Role.DECODER),
        prompt_slots=bundle.manifest.target.prompt_slots,
        prompt_batches=bundle.manifest.target.prompt_batches,
    )


def _open_pytorch(contestant: Contestant, threads: int) -> Opened:
    import torch

    from edgekit.models import registry
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    assert contestant.model is not None
    assert contestant.weights is not None
    torch.set_num_threads(threads)
    row = registry.model(contestant.model)
    split = load(row, contestant.weights)
    if contestant.kind == "compile":
        split.encoder.compile()
        if split.decoder:
            split.decoder.compile(dynamic=True)
    encoder, *rest = reference_sessions(split)
    decoder = rest[0] if rest else None
    client = photo_client(row.client_for(contestant.weights.kind))
    return Opened(client=client, encoder=encoder, decoder=decoder)
