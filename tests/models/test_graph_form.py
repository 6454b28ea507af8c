"""Both graphs of a model have only ranks and operators that every compiler takes.

The models are on the meta device, where even ViT-H takes no memory. By default one model per kind
of decoder is tested (tests/graph tests the encoders of all families); with EDGEKIT_ALL_MODELS=1,
all.
"""

from __future__ import annotations

import os

import pytest

from edgekit.models import registry

torch = pytest.importorskip("torch", reason="the models are PyTorch modules (extra `export`)")

EACH_DECODER = (
    "nanosam",
    "efficientsam_ti",
    "hqsam_vit_tiny",
    "edgetam",
    "efficienttam_ti_512x512",
)
EVERYTHING = tuple(row.name for row in registry.models())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", EVERYTHING if os.environ.get("EDGEKIT_ALL_MODELS") == "1" else EACH_DECODER
)
def test_both_graphs_have_the_form_that_every_compiler_takes(name: str) -> None:
    from edgekit.models.checkpoints.fit import build
    from edgekit.program.capture import capture_decoder, capture_encoder
    from tests.graph.form import require_form

    row = registry.model(name)
    frame = row.client.preprocessing.frame
    with torch.device("meta"), torch.no_grad():
        encoder, decoder = build(row)
        program = capture_encoder(encoder.eval(), frame=frame, contract=row.graph)
        require_form(program)
        if decoder is not None:
            decoder.eval()
            require_form(capture_decoder(decoder, features=program.outputs, contract=row.graph))
