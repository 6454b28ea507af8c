"""This machine's CPU: its name, and the instructions that make a precision fast."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path

CPU_FEATURES: dict[str, str] = {
    "avx2": "FP32 kernels of every x86 runtime",
    "avx512f": "wider FP32 kernels",
    "avx512_vnni": "INT8 dot products",
    "avx_vnni": "INT8 dot products",
    "avx512_bf16": "BF16 dot products",
    "amx_bf16": "BF16 matrix tiles",
    "amx_int8": "INT8 matrix tiles",
    "asimddp": "INT8 dot products (ARM)",
    "i8mm": "INT8 matrix products (ARM)",
    "asimdhp": "FP16 arithmetic (ARM)",
    "bf16": "BF16 dot products (ARM)",
}
"""Flags as Linux spells them in /proc/cpuinfo, and what runtimes use them for."""

# macOS has other names for them: `sysctl hw.optional.arm.*`.
_MAC_FEATURES = {
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.arm.FEAT_BF16": "bf16",
}
_COMMAND_S = 10


def cpu_name() -> str:
    """The CPU's model name, as the system gives it."""
    named = _cpu_info().get("model name") or command_output(
        "sysctl", "-n", "machdep.cpu.brand_string"
    )
    return named or platform.processor() or platform.machine()


@cache
def cpu_features() -> tuple[str, ...]:
    """Those of `CPU_FEATURES` that this CPU has; empty if the system does not list any."""
    info = _cpu_info()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    if platform.system() == "Darwin":
        flags |= {
            ours
            for theirs, ours in _MAC_FEATURES.items()
            if command_output("sysctl", "-n", theirs) == "1"
        }
    return tuple(name for name in CPU_FEATURES if name in flags)


def lacks(features: tuple[str, ...]) -> bool:
    """Whether this CPU has none of these features. False if that cannot be known."""
    here = cpu_features()
    return bool(features and here) and not set(features) & set(here)


def command_output(*command: str) -> str | None:
    """Output of a command; None if it is not installed or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_info() -> dict[str, str]:
    """Fields of the first CPU in /proc/cpuinfo; empty on systems without that file."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
