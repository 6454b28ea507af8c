"""Save a program, for runtimes whose converter reads programs (Core ML, LiteRT)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from edgekit.program.capture import Program
from edgekit.records import SavedProgram, prompt_shape_in
from edgekit.store import sha256_of


def save_program(program: Program, *, folder: Path) -> SavedProgram:
    """Write `<folder>/<role>.pt2`, which `torch.export.load` reads, and describe it.

    A decoder for a prompt of 5 points is called `decoder_5`, and one for 8 prompts of 2 points
    `decoder_8x2`, since there may be others. The same program, sources and torch give the same
    bytes.
    """
    path = folder.resolve() / f"{_name(program)}.pt2"
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


def _name(program: Program) -> str:
    shape = prompt_shape_in(program.inputs)
    if shape is None:
        return program.role
    prompts, slots = shape
    return f"{program.role}_{slots}" if prompts == 1 else f"{program.role}_{prompts}x{slots}"
