"""Save a program, for runtimes whose converter reads programs (Core ML, LiteRT)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from edgekit.program.capture import Program
from edgekit.records import SavedProgram, slots_in
from edgekit.store import sha256_of


def save_program(program: Program, *, folder: Path) -> SavedProgram:
    """Write `<folder>/<role>.pt2`, which `torch.export.load` reads, and describe it.

    A decoder with 5 slots is called `decoder_5`, since there may be others. The same program,
    sources and torch give the same bytes.
    """
    slots = slots_in(program.inputs)
    name = program.role if slots is None else f"{program.role}_{slots}"
    path = folder.resolve() / f"{name}.pt2"
    torch.export.save(program.exported, path)
    calls = (node for node in program.exported.graph.nodes if node.op == "call_function")
    return SavedProgram(
        role=program.role,
        path=path,
        sha256=sha256_of(path),
        inputs=program.inputs,
        outputs=program.outputs,
        ops=dict(sorted(Counter(str(node.target) for node in calls).items())),
    )
