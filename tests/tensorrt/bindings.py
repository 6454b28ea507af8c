"""TensorRT's Python bindings as a specification: fakes that take what the real classes take.

The bindings are small wheels on PyPI; the libraries behind them are not, and empty stand-ins are
enough to import the module and read it (`dump_bindings.py`, in a process of its own). A fake then
has the members, arguments and enumerations of the real class of that version, and no others.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Requirement per major version, with the digests of its wheels for CPython 3.10 to 3.13. NVIDIA
# made none of 8.6 for 3.12, and none of 8.6 and 10.3 for 3.13.
WHEELS = {
    "8": "tensorrt-bindings==8.6.1"
    " --hash=sha256:6f9d26d5d8f6b87d62048c5ef4bb33b179cdf944d1b28480458d8c27d1e65456"
    " --hash=sha256:705cfab5c60f0bed7d939559d880165a761bd9ac0f4203004948a760eef99838",
    "10": "tensorrt-cu12-bindings==10.3.0"
    " --hash=sha256:1d6e4cf08ef1f54f6fd44a33cf6b253050af2fc6e9a1d92e40e1436a1d858eb0"
    " --hash=sha256:59ace22d7f2ca1e9dcde2cb0cb5916912cb3cd5a9d72dd7852be0160d9b3a0ee"
    " --hash=sha256:f5c2582aeaa7f5628d2c4d4148a701ebe97be78f7ff3b46a617f0ee0cb5460f2",
    "11": "tensorrt-cu13-bindings==11.4.0.106"
    " --hash=sha256:1d17853da33a186c4d4d39995c1186bb59f643689aabac9c3e33ae5f0ba402f5"
    " --hash=sha256:bac9a362c9189b5f5dd0444213913846e4b46003237834958e890eff57d86ed5"
    " --hash=sha256:d072ac2a095e2be749fefc847adfb25d5ebe70303401df62ede8fe67a59f27fc"
    " --hash=sha256:5fc7a6c412881f7212030893bd5531b1a0ff415c72c7678dfe4ead7a7765b38d",
}


class Unavailable(Exception):
    """Why the bindings cannot be read here."""


def read_bindings(major: str, folder: Path) -> dict[str, Any]:
    """The specification of one version, through a folder of its own.

    Raises:
        Unavailable: no wheel for this platform or Python, no network, or no compiler.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("the wheels read here are for x86-64 Linux")
    module = _unpacked(WHEELS[major], folder)
    _stand_ins(module, folder)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("dump_bindings.py"), folder],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)


def _unpacked(requirement: str, folder: Path) -> Path:
    (folder / "requirement.txt").write_text(requirement + "\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run(
        [*pip, "--only-binary=:all:", "--dest", folder, "-r", folder / "requirement.txt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"pip cannot get {requirement.split(maxsplit=1)[0]} for this Python")
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder / "tensorrt_bindings" / "tensorrt.so"


def _stand_ins(module: Path, folder: Path) -> None:
    """Empty libraries of the names that the bindings load, with all symbols that they lack."""
    try:
        needed = _tool("readelf", "-d", module)
        missing = _tool("nm", "-D", "--undefined-only", module)
    except FileNotFoundError as error:
        raise Unavailable(f"no {error.filename}") from error
    symbols = [line.split()[-1] for line in missing.splitlines() if " U " in line]
    own = [name for name in symbols if "@" not in name and not re.match("_?Py", name)]
    source = folder / "stand_in.c"
    source.write_text(
        "\n".join(
            f'void *f{i}(void) __asm__("{name}"); void *f{i}(void) {{ return 0; }}'
            for i, name in enumerate(own)
        )
    )
    for library in re.findall(r"\[(libnv[\w.]+)\]", needed):
        _tool(
            "gcc",
            "-shared",
            "-fPIC",
            "-w",
            f"-Wl,-soname,{library}",
            "-o",
            folder / library,
            source,
        )


def _tool(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# --- fakes ---------------------------------------------------------------------------------------


class Fake:
    """An object of a class of the bindings. `does` maps members to values or functions.

    What is not in `does` may still be called, if the class has it, and returns None.
    """

    def __init__(self, bindings: Bindings, kind: str, does: dict[str, Any]) -> None:
        vars(self).update(_bindings=bindings, _kind=kind, _does=does, calls=[])

    def __getattr__(self, name: str) -> Any:
        member = self._member(name)
        if "signatures" not in member:
            return self._does[name]

        def call(*given: Any, **named: Any) -> Any:
            self._bindings.check(f"{self._kind}.{name}", member["signatures"], given, named)
            self.calls.append((name, *given, *named.values()))
            result = self._does.get(name)
            return result(*given, **named) if callable(result) else result

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        if not self._member(name).get("writable"):
            raise AttributeError(f"{self._kind}.{name} cannot be set")
        self.calls.append((name, value))

    def _member(self, name: str) -> dict[str, Any]:
        members = self._bindings.spec["classes"][self._kind]
        if name not in members:
            raise AttributeError(f"TensorRT {self._bindings.version} has no {self._kind}.{name}")
        return members[name]


class Bindings:
    """The module: enumerations of the version, and classes that give the fakes made here."""

    def __init__(self, spec: dict[str, Any], *, version: str | None = None) -> None:
        self.spec = spec
        self.version = version or spec["version"]
        self.enums = {name: IntEnum(name, values) for name, values in spec["enums"].items()}

    def fake(self, kind: str, **does: Any) -> Fake:
        """An object of a class, which the version must have."""
        assert kind in self.spec["classes"], f"TensorRT {self.version} has no {kind}"
        return Fake(self, kind, does)

    def module(self, **made: Fake) -> SimpleNamespace:
        """What `import tensorrt` gives: `made` maps classes to what calling them returns."""

        def maker(kind: str) -> Callable[..., Fake]:
            def make(*given: Any, **named: Any) -> Fake:
                signatures = self.spec["classes"][kind]["__init__"]["signatures"]
                self.check(kind, signatures, given, named)
                return made[kind]

            return make

        logger = maker("Logger")
        vars(logger).update(self.enums["Severity"].__members__)
        makers = {kind: maker(kind) for kind in made}
        return SimpleNamespace(
            __version__=self.version, **self.enums, **{**makers, "Logger": logger}
        )

    def check(
        self, what: str, signatures: list[str], given: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        """Raise TypeError, as pybind does, when no overload takes the arguments."""
        if not any(self._fits(text, given, named) for text in signatures):
            raise TypeError(f"{what} takes {' or '.join(signatures)}; given {given} {named}")

    def _fits(self, signature: str, given: tuple[Any, ...], named: dict[str, Any]) -> bool:
        parameters = _parameters(signature)
        if len(given) > len(parameters) or not named.keys() <= parameters.keys():
            return False
        bound = dict(zip(parameters, given, strict=False)) | named
        required = {name for name, (_, optional) in parameters.items() if not optional}
        return required <= bound.keys() and all(
            self._is(value, parameters[name][0]) for name, value in bound.items()
        )

    def _is(self, value: Any, annotation: str) -> bool:
        kind = annotation.rpartition(".")[2]
        if kind in self.enums:
            return isinstance(value, self.enums[kind])
        if isinstance(value, Fake):
            return value._kind.removeprefix("I") == kind.removeprefix("I")
        plain = {
            "int": int, "SupportsInt": int, "str": str, "bool": bool, "tuple": tuple, "list": list,
            "Dims": tuple, "buffer": bytes, "Buffer": bytes,
        }  # fmt: skip
        return kind in plain and isinstance(value, plain[kind])


def _parameters(signature: str) -> dict[str, tuple[str, bool]]:
    """From "self: a.B, x: int, y: c.D = <D.E: 0>" to {"x": ("int", False), "y": ("c.D", True)}."""
    plain = re.sub(r"<[^>]*>", "None", signature)
    arguments = ast.parse(f"def f({plain}): ...").body[0].args  # type: ignore[attr-defined]
    mandatory = len(arguments.args) - len(arguments.defaults)
    return {
        argument.arg: (ast.unparse(argument.annotation), position >= mandatory)
        for position, argument in enumerate(arguments.args)
        if argument.arg != "self"
    }
