"""A saved program is the captured one, and its record has what a lowering needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgekit.program.capture import capture_decoder, image_embeddings
from edgekit.program.saved import save_program
from edgekit.records import Role
from edgekit.store import sha256_of


@pytest.mark.parametrize(("prompts", "name"), [(1, "decoder_3.pt2"), (4, "decoder_4x3.pt2")])
def test_a_saved_program_computes_the_same(
    small_decoder: nn.Module, tmp_path: Path, prompts: int, name: str
) -> None:
    features = image_embeddings(4, 2, 2)
    program = capture_decoder(small_decoder, features=features, slots=3, prompts=prompts)
    graph = save_program(program, folder=tmp_path)
    assert (graph.role, graph.format) == (Role.DECODER, "program")
    assert graph.path == tmp_path / name
    assert graph.sha256 == sha256_of(graph.path)
    assert (graph.inputs, graph.outputs) == (program.inputs, program.outputs)
    assert graph.ops["aten.gelu.default"] == 1
    feeds = [torch.randn(spec.shape) for spec in graph.inputs]
    loaded = torch.export.load(graph.path)
    torch.testing.assert_close(loaded.module()(*feeds), program.exported.module()(*feeds))


def test_saving_repeats_byte_for_byte(small_decoder: nn.Module, tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        program = capture_decoder(small_decoder, features=image_embeddings(4, 2, 2), slots=3)
        digests.append(save_program(program, folder=folder).sha256)
    assert digests[0] == digests[1]
