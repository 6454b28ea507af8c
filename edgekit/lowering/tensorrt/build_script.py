"""build.sh: the trtexec commands of a bundle, for a device without edgekit.

The options are those of `samples/common/sampleOptions.cpp` in NVIDIA/TensorRT on release/8.2, 10.3
and 11.1.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from edgekit.lowering.tensorrt.engine_build import EngineBuild
from edgekit.records import Target

TIMING_CACHE = "timing.cache"

_HEAD = """\
#!/usr/bin/env bash
# Builds the TensorRT engines of this bundle, on the machine and for the machine it runs on:
# an engine fits one GPU model and one TensorRT version.
# {title}
# Needs python3 and trtexec (TRTEXEC=/path/to/trtexec if it is not found).
set -euo pipefail
cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")"

fail() {{ printf 'build.sh: %s\\n' "$1" >&2; exit 3; }}

trtexec=${{TRTEXEC:-trtexec}}
command -v -- "$trtexec" >/dev/null || trtexec=/usr/src/tensorrt/bin/trtexec
command -v -- "$trtexec" >/dev/null || fail 'no trtexec: set TRTEXEC=/path/to/trtexec'
command -v python3 >/dev/null || fail 'no python3'

# trtexec names itself [TensorRT v8201] or, from 10 on, [TensorRT v100300].
banner=$("$trtexec" --help 2>&1 || true)
[[ $banner =~ \\[TensorRT\\ v([0-9]+)\\] ]] || fail "$trtexec does not tell its version"
number=${{BASH_REMATCH[1]}}
if ((number < 10000)); then
  major=$((number / 1000)) minor=$((number % 1000 / 100)) patch=$((number % 100))
else
  major=$((number / 10000)) minor=$((number % 10000 / 100)) patch=$((number % 100))
fi
version="$major.$minor.$patch"
release=$((100 * major + minor))
{check} || fail "TensorRT $version is here; "{versions}
"""


def build_script(builds: Iterable[EngineBuild], target: Target) -> str:
    """The text of build.sh. It stops at the first failure and leaves no half-written engine."""
    head = _HEAD.format(
        title=" ".join(
            f"{target.name}: {target.device}".split()
        ),  # one line, since a comment ends with its line
        check=_version_check(target),
        versions=shlex.quote(f"this bundle is for {target.runtime_versions}"),
    )
    return "\n".join([head, *("\n".join(_part(build, target)) for build in builds)])


def _version_check(target: Target) -> str:
    """The target's versions as bash arithmetic over 100 * major + minor."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    bounds = sorted(
        f"release {spec.operator} {100 * Version(spec.version).major + Version(spec.version).minor}"
        for spec in SpecifierSet(target.runtime_versions)
    )
    return f"(({' && '.join(bounds)}))"


def _part(build: EngineBuild, target: Target) -> Iterator[str]:
    part, engine = shlex.quote(build.part), shlex.quote(build.engine)
    yield f"printf '%s: building, this takes minutes\\n' {part}"
    typed = not may_build_with_tensorrt_8(target)
    # trtexec 8.2 has no --layerPrecisions, so FP32 nodes go through the Python bindings.
    if build.fp32_nodes and not typed:
        yield _line(["python3", "build_engine.py", *_for_python(build)])
        yield ""
        return
    options = _strongly_typed(build) if typed else _weakly_typed(build)
    # trtexec writes the engine in place, and a power cut must not leave half of it.
    partial = f"{build.engine}.part"
    arguments = [f"--onnx={build.onnx}", f"--saveEngine={partial}", *options]
    log = shlex.quote(f"{build.part}.build.log")
    yield f'"$trtexec" {_line(arguments)} 2>&1 | tee {log}'
    yield _line(["mv", "--", partial, build.engine])
    yield (
        f"python3 build_engine.py --onnx {shlex.quote(build.onnx)} --engine {engine}"
        ' --built-by "$version"'
    )
    yield ""


def may_build_with_tensorrt_8(target: Target) -> bool:
    """Whether the target accepts TensorRT 8, which needs flags for what the types state."""
    from packaging.specifiers import SpecifierSet

    accepted = SpecifierSet(target.runtime_versions)
    return any(accepted.contains(f"8.{minor}") for minor in range(10))


def _strongly_typed(build: EngineBuild) -> list[str]:
    # TensorRT 10 needs --stronglyTyped; 11 accepts it without effect.
    return [
        "--stronglyTyped",
        f"--memPoolSize=workspace:{build.workspace_mb}",
        f"--timingCacheFile={TIMING_CACHE}",
        *_profile(build),
        "--skipInference",
    ]


def _weakly_typed(build: EngineBuild) -> list[str]:
    # --workspace became --memPoolSize in 8.4, --buildOnly became --skipInference in 8.6.
    return [
        "--fp16",
        "--precisionConstraints=obey",
        f"--workspace={build.workspace_mb}",
        f"--timingCacheFile={TIMING_CACHE}",
        *_profile(build),
        "--buildOnly",
    ]


def _for_python(build: EngineBuild) -> list[str]:
    return [
        f"--onnx={build.onnx}",
        f"--engine={build.engine}",
        f"--workspace-mib={build.workspace_mb}",
        f"--timing-cache={TIMING_CACHE}",
        f"--fp32-nodes={fp32_list(build)}",
        *(option.replace("Shapes", "-shapes") for option in _profile(build)),
    ]


def fp32_list(build: EngineBuild) -> str:
    """The file with the nodes that `build_engine.py` keeps in FP32, one a line."""
    return f"{build.part}.fp32-nodes.txt"


def _profile(build: EngineBuild) -> list[str]:
    if not build.shapes:
        return []
    return [
        f"--{kind}Shapes="
        + ",".join(
            f"{name}:{'x'.join(map(str, bounds[which]))}" for name, bounds in build.shapes.items()
        )
        for which, kind in enumerate(("min", "opt", "max"))
    ]


def _line(words: Iterable[str]) -> str:
    return " \\\n  ".join(shlex.quote(word) for word in words)
