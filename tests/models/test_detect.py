"""`detect` names every model that a file could be of, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import CheckpointMismatch
from edgekit.models import registry
from edgekit.models.checkpoints.detect import Detection, detect

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
pytestmark = pytest.mark.slow


def halves(name: str) -> tuple[dict, dict]:
    """Encoder and decoder of PyTorch's own initialisation, under upstream's names."""
    from edgekit.models.checkpoints.fit import build

    row = registry.model(name)
    encoder, decoder = build(row)
    return (
        {row.encoder_prefix + key: value for key, value in encoder.state_dict().items()},
        dict(decoder.state_dict()),
    )


def found_in(folder: Path, content: object) -> Detection:
    torch.save(content, folder / "some.pt")
    return detect(folder / "some.pt")


def test_models_with_the_same_tensors_are_all_named(tmp_path: Path) -> None:
    encoder, decoder = halves("mobilesam")
    found = found_in(tmp_path, {"model": encoder | decoder})
    assert found.models == ("mobilesam", "mobilesamv2_vit_t", "tinysam")
    assert (found.encoders, found.decoders) == ((), ())
    assert found.family == "MobileSAM or TinySAM"
    assert found.tensors == len(encoder) + len(decoder)


def test_a_width_tells_the_variant(tmp_path: Path) -> None:
    encoder, decoder = halves("slimsam_77")
    assert found_in(tmp_path, encoder | decoder).models == ("slimsam_77",)


def test_widths_of_nobody_are_left_to_the_models_that_adapt(tmp_path: Path) -> None:
    encoder, decoder = halves("slimsam_global_77")
    found = found_in(tmp_path, encoder | decoder)
    assert found.models == ("slimsam_global_50", "slimsam_global_77", "supersam")


def test_an_encoder_alone(tmp_path: Path) -> None:
    found = found_in(tmp_path, halves("nanosam")[0])
    assert (found.models, found.encoders, found.decoders) == ((), ("nanosam",), ())


def test_a_decoder_alone_is_that_of_many(tmp_path: Path) -> None:
    decoder = halves("mobilesam")[1]
    found = found_in(tmp_path, decoder)
    assert found.models == found.encoders == ()
    assert {"nanosam", "mobilesam", "mobilesamv2_vit_t"} <= set(found.decoders)
    assert not [name for name in found.decoders if name.startswith(("sam2", "hqsam"))]


def test_more_tensors_are_another_model(tmp_path: Path) -> None:
    encoder, decoder = halves("mobilesam")
    more = encoder | decoder | {"mask_decoder.surplus": torch.zeros(1)}
    found = found_in(tmp_path, more)
    assert found.models == found.decoders == ()
    assert "mobilesam" in found.encoders


def test_a_file_of_something_else(tmp_path: Path) -> None:
    found = found_in(tmp_path, {"fc.weight": torch.zeros(2, 2)})
    assert found == Detection(
        tensors=1, parameters=4, family=None, models=(), encoders=(), decoders=()
    )
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointMismatch):
        detect(tmp_path / "broken.pt")
