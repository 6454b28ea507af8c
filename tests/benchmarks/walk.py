"""Follow arguments through an export: which files are handed them, and by whom.

    python tests/benchmarks/walk.py

One export of NanoSAM for `x86-int8` runs with an empty cache. Each call that is handed the same
object as the parameter, such as `export:request`, counts for the called file; what is made from the
object is not followed. A climb is a call from a lower layer of the import contracts to a higher
one. `require_faster` compares nothing on a CPU without VNNI.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from edgekit.pipeline import ExportRequest, export

if sys.version_info >= (3, 11):
    import tomllib
else:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
FOLLOWED = (
    ("edgekit/pipeline.py", "export", "request"),
    ("edgekit/stages/precision.py", "make_plan", "programs"),
    ("edgekit/stages/speed.py", "require_faster", "programs"),
)


@dataclass
class Walk:
    """Where one argument went: the files, and each climb as "caller -> callee"."""

    file: str
    function: str
    parameter: str
    followed: object = None
    files: dict[str, int] = field(default_factory=dict)
    climbs: list[str] = field(default_factory=list)

    def see(self, frame: FrameType, layers: dict[str, int]) -> None:
        """Count this call if it is handed the argument."""
        file = _file(frame)
        if self.followed is None and self._begins(frame, file):
            self.followed = frame.f_locals[self.parameter]
        if self.followed is None or not _holds(frame, self.followed):
            return
        self.files[file] = self.files.get(file, 0) + 1
        caller = _caller(frame)
        if caller and layers[_layer(caller)] > layers[_layer(file)]:
            self.climbs.append(f"{caller} -> {file}:{frame.f_code.co_name}")

    def _begins(self, frame: FrameType, file: str) -> bool:
        return file == self.file and frame.f_code.co_name == self.function


def _holds(frame: FrameType, followed: object) -> bool:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return any(frame.f_locals.get(name) is followed for name in names)


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename.removeprefix(f"{ROOT}/")


def _is_ours(file: str) -> bool:
    return file.startswith("edgekit/")


def _caller(frame: FrameType) -> str | None:
    """The nearest file of edgekit above this call."""
    above = frame.f_back
    while above and not _is_ours(_file(above)):
        above = above.f_back
    return _file(above) if above else None


def _layer(file: str) -> str:
    return file.split("/")[1].removesuffix(".py")


def layers() -> dict[str, int]:
    """The number of each package's layer in the import contract; 0 is the highest."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return {
        name.strip(): number
        for number, line in enumerate(contract["layers"])
        for name in line.split("|")
    }


@contextmanager
def following(walks: list[Walk]) -> Iterator[None]:
    """Hand every call of edgekit's code to the walks."""
    ranks = layers()

    def see(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and _is_ours(_file(frame)):
            for walk in walks:
                walk.see(frame, ranks)

    sys.setprofile(see)
    try:
        yield
    finally:
        sys.setprofile(None)


def main() -> None:
    """Print, for each followed argument, its files and climbs."""
    walks = [Walk(*names) for names in FOLLOWED]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGEKIT_CACHE"] = folder
        request = ExportRequest(model="nanosam", target="x86-int8", out=Path(folder), verify=False)
        with following(walks):
            export(request)
    for walk in walks:
        print(f"{walk.function}:{walk.parameter}: {len(walk.files)} files, ", end="")
        print(f"{sum(walk.files.values())} calls, {len(walk.climbs)} climbs")
        for file, calls in sorted(walk.files.items()):
            print(f"    {calls:4}  {file}")
        for climb in walk.climbs:
            print(f"    climb {climb}")


if __name__ == "__main__":
    main()
