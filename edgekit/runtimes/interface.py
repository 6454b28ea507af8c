"""Compare the tensors of a loaded file with those that the manifest gives it.

A file of another model, or of another size, would otherwise fail inside the runtime at its first
run, or run and give wrong masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edgekit.errors import BundleCorrupt
from edgekit.records import Artifact, TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A tensor as a runtime reads it from the file.

    `dtype` is NumPy's name, or the runtime's own where NumPy has none. In `shape`, None is a
    dynamic size. A field is None where the file does not say.
    """

    dtype: str | None = None
    shape: tuple[int | None, ...] | None = None


def require_interface(
    artifact: Artifact, *, takes: Mapping[str, Found], gives: Mapping[str, Found]
) -> None:
    """Check that a loaded file has the tensors that the manifest gives it.

    A size that is dynamic in the file fits any size of the manifest.

    Args:
        artifact: as in the manifest.
        takes: the file's inputs by name.
        gives: its outputs.

    Raises:
        BundleCorrupt: a name, type or shape differs.
    """
    for way, found, specs in (
        ("inputs", takes, artifact.inputs),
        ("outputs", gives, artifact.outputs),
    ):
        listed = {spec.name for spec in specs}
        if found.keys() != listed:
            raise _not_of_the_manifest(
                artifact, f"its {way} are {_listed(found)}", expected=_listed(listed)
            )
    both = {**takes, **gives}
    specs = (*artifact.inputs, *artifact.outputs)
    if wrong := [spec for spec in specs if difference(both[spec.name], spec)]:
        raise _not_of_the_manifest(
            artifact,
            ", ".join(f"{spec.name} is {difference(both[spec.name], spec)}" for spec in wrong[:3]),
            expected=", ".join(
                f"{spec.name} {_text(spec.dtype, spec.shape)}" for spec in wrong[:3]
            ),
        )


def difference(found: Found, spec: TensorSpec) -> str | None:
    """The file's type and shape where they cannot be those of the manifest; None if they can."""
    typed = found.dtype in (None, spec.dtype)
    if typed and (found.shape is None or all(_fitting(found.shape, spec.shape))):
        return None
    return _text(found.dtype or spec.dtype, found.shape or spec.shape)


def _fitting(found: tuple[int | None, ...], listed: tuple[int | str, ...]) -> Iterator[bool]:
    yield len(found) == len(listed)
    for here, there in zip(found, listed, strict=False):
        yield here is None or here == there


def _not_of_the_manifest(artifact: Artifact, what: str, *, expected: str) -> BundleCorrupt:
    return BundleCorrupt(
        f"{artifact.entry} is not the {artifact.role} of the manifest: {what}.",
        expected=expected,
        next_step="export the bundle again",
    )


def _text(dtype: str, shape: tuple[int | str | None, ...]) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"{dtype} [{sizes}]"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
