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
    from edgekit.program.passes.exported_form import exported_forms
    from tests.graph.form import require_form

    row = registry.model(name)
    frame = row.client.preprocessing.frame
    with torch.device("meta"), torch.no_grad():
        encoder, decoder = build(row)
        forms = exported_forms(encoder.eval(), decoder and decoder.eval(), row.graph)
        program = capture_encoder(forms.encoder, frame=frame, contract=forms.contract)
        require_form(program)
        if forms.decoder is not None:
            features, contract = program.outputs, forms.contract
            require_form(capture_decoder(forms.decoder, features=features, contract=contract))
