"""Open a bundle's files as sessions: on their own runtime, or on its stand-in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from edgekit import runtimes
from edgekit.catalog.options import refused_of
from edgekit.catalog.runtimes import runtime_row
from edgekit.emulation import emulator
from edgekit.errors import BundleCorrupt
from edgekit.records import (
    Artifact,
    Bundle,
    Execution,
    Feeds,
    FloatArray,
    Precision,
    PromptShape,
    Role,
    Session,
    Target,
)
from edgekit.runtimes.cpu import lacks
from edgekit.runtimes.installed import missing_runtime


def execution(target: Target) -> Execution:
    """How a target's files run on this machine.

    Natively if their runtime can run them here. Otherwise emulated, if the runtime has a stand-in
    whose packages are installed.
    """
    own = runtimes.runtime(target.runtime).execution(target)
    if own.how == "native" and lacks(target.cpu_features):
        return _on_a_lesser_cpu(target)
    stand_in = emulator(target)
    if own.how != "not run" or stand_in is None:
        return own
    probe = stand_in.probe()
    if not probe.available:
        return Execution(how="not run", reason=f"{own.reason}; to emulate it, {probe.reason}")
    reason = f"{own.reason}; {stand_in.DESCRIPTION}"
    return Execution(how="emulated", by=probe.version, reason=reason)


def _on_a_lesser_cpu(target: Target) -> Execution:
    """The runtime is the target's, the CPU is not."""
    row = runtime_row(target.runtime)
    features = ", ".join(target.cpu_features)
    coded = target.precision is Precision.INT8 and row.exact_sums
    exact = "8-bit products are added without saturation, as there; " if coded else ""
    return Execution(
        how="emulated",
        by=f"{row.title} {runtimes.probe(target.runtime).version} on another CPU",
        reason=f"this CPU has none of {features}, one of which the target's CPU has; {exact}"
        "rounding and times differ",
    )


def open_artifact(
    artifact: Artifact,
    folder: Path,
    target: Target,
    *,
    threads: int | None,
    timed: bool = False,
) -> Session:
    """Open one artifact, as `execution` says.

    Args:
        artifact: with paths relative to `folder`.
        folder: the bundle's.
        target: the profile that it was made for.
        threads: number of threads; None leaves it to the runtime.
        timed: whether the session is opened for its times. It then uses this CPU's own 8-bit
            instructions even if their results differ from those of the target's CPU.

    Raises:
        BundleCorrupt: a file is missing or cannot be read, or an option is not one that edgekit
            hands to the runtime.
        RuntimeMissing: neither the runtime nor its stand-in can run here.
    """
    _require_known_options(artifact, target)
    runtime, stand_in = runtimes.runtime(target.runtime), emulator(target)
    if stand_in is None or runtime.execution(target).how != "not run":
        options = {} if timed else _exact_sums(target)
        profile = replace(target, options={**target.options, **options})
        return runtime.open_artifact(artifact, folder, profile, threads=threads)
    how = execution(target)
    if how.how == "not run":
        raise missing_runtime(target.runtime, how.reason)
    return stand_in.open_artifact(artifact, folder, target, threads=threads)


def _exact_sums(target: Target) -> Mapping[str, str]:
    """Options for a CPU that lacks the target's 8-bit instructions; none for other targets.

    AVX2 adds pairs of 8-bit products in 16 bits, which saturate; VNNI adds them in 32. NanoSAM for
    x86-int8 has a mean IoU of 0.971 with the one and 0.980 with the other (its gate: 0.975).
    """
    if target.precision is not Precision.INT8 or not lacks(target.cpu_features):
        return {}
    return runtime_row(target.runtime).exact_sums


def _require_known_options(artifact: Artifact, target: Target) -> None:
    if problems := refused_of(target, artifact):
        raise BundleCorrupt(
            f"{artifact.entry} is not opened: {'; '.join(problems[:3])}",
            expected=f"the options that `edgekit export` writes for {target.runtime}",
            next_step="export it again: edgekit export MODEL --target TARGET --force",
        )


def open_graphs(bundle: Bundle, *, threads: int | None, timed: bool = False) -> dict[Role, Session]:
    """Open every artifact of a bundle. Arguments and errors are those of `open_artifact`."""
    target = bundle.manifest.target
    with _only_listed_files(bundle) as folder:
        opened = [
            (artifact, open_artifact(artifact, folder, target, threads=threads, timed=timed))
            for artifact in bundle.manifest.artifacts
        ]
    sessions = {artifact.role: session for artifact, session in opened}
    if len(target.prompt_shapes) > 1:
        decoders = {a.prompt_shape: session for a, session in opened if a.role is Role.DECODER}
        sessions[Role.DECODER] = ShapedDecoder(decoders)
    return sessions


@contextmanager
def _only_listed_files(bundle: Bundle) -> Iterator[Path]:
    """A folder that shows the listed files of the artifacts and no others.

    A graph may name files beside it that hold its weights. The digests of unlisted files are not
    checked, so the runtime must not find them. A format that is a folder (mlpackage) names none.
    """
    artifacts = bundle.manifest.artifacts
    if any((bundle.path / artifact.entry).is_dir() for artifact in artifacts):
        yield bundle.path
        return
    with TemporaryDirectory(prefix="edgekit-") as name:
        for file in (file for artifact in artifacts for file in artifact.contents):
            place = Path(name, file.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to((bundle.path / file.path).resolve())
        yield Path(name)


class ShapedDecoder:
    """Decoders for different numbers of prompts and points. Each call runs the matching one."""

    def __init__(self, by_shape: Mapping[PromptShape | None, Session]) -> None:
        self._by_shape = by_shape

    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        """Run the decoder whose prompts and points are those of `point_labels`."""
        prompts, points = feeds["point_labels"].shape
        return self._by_shape[prompts, points].run(feeds)
