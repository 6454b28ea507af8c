"""`detect` names every model that a file fits, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import CheckpointMismatch
from edgekit.models import registry
from edgekit.models.checkpoints.detect import Detection, detect

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
pytestmark = pytest.mark.slow


def halves(name: str) -> tuple[dict, dict]:
    """A model's encoder and decoder as PyTorch initialises them, under upstream's names."""
    from edgekit.models.checkpoints.fit import build

    row = registry.model(name)
    encoder, decoder = build(row)
    return (
        {row.encoder_prefix + key: value for key, value in encoder.state_dict().items()},
        dict(decoder.state_dict()),
    )


def detected(folder: Path, content: object) -> Detection:
    torch.save(content, folder / "some.pt")
    return detect(folder / "some.pt")


def test_models_with_the_same_tensors_are_all_named(tmp_path: Path) -> None:
    encoder, decoder = halves("mobilesam")
    detection = detected(tmp_path, {"model": encoder | decoder})
    assert detection.models == ("mobilesam", "mobilesamv2_vit_t", "tinysam")
    assert (detection.encoders, detection.decoders) == ((), ())
    assert detection.family == "MobileSAM or TinySAM"
    assert detection.tensors == len(encoder) + len(decoder)


def test_widths_identify_the_variant(tmp_path: Path) -> None:
    encoder, decoder = halves("slimsam_77")
    assert detected(tmp_path, encoder | decoder).models == ("slimsam_77",)


def test_other_widths_fit_the_models_that_read_theirs_from_the_file(tmp_path: Path) -> None:
    encoder, decoder = halves("slimsam_global_77")
    detection = detected(tmp_path, encoder | decoder)
    assert detection.models == ("slimsam_global_50", "slimsam_global_77", "supersam")


@pytest.mark.parametrize(
    ("name", "family"), [("samlightening", "SAM-Lightening"), ("rwkvsam", "RWKV-SAM")]
)
def test_files_of_models_that_published_none(name: str, family: str, tmp_path: Path) -> None:
    encoder, decoder = halves(name)
    detection = detected(tmp_path, encoder | decoder)
    assert (detection.models, detection.family) == ((name,), family)


def test_a_model_of_one_graph(tmp_path: Path) -> None:
    from edgekit.models.checkpoints.fit import build

    network, _ = build(registry.model("squeezesam"))
    detection = detected(tmp_path, {"model": network.state_dict()})
    assert (detection.models, detection.family) == (("squeezesam",), "SqueezeSAM")


def test_an_encoder_alone(tmp_path: Path) -> None:
    detection = detected(tmp_path, halves("nanosam")[0])
    assert (detection.models, detection.encoders, detection.decoders) == ((), ("nanosam",), ())


def test_weights_of_paths_that_are_not_exported_do_not_matter(tmp_path: Path) -> None:
    encoder, decoder = halves("rapsam_r50")
    panoptic = {"panoptic_head.kernels.weight": torch.zeros(100, 256)}
    detection = detected(tmp_path, {"state_dict": encoder | decoder | panoptic})
    assert (detection.models, detection.family) == (("rapsam_r50",), "RAP-SAM")


def test_a_decoder_alone_fits_many_models(tmp_path: Path) -> None:
    decoder = halves("mobilesam")[1]
    detection = detected(tmp_path, decoder)
    assert detection.models == detection.encoders == ()
    assert {"nanosam", "mobilesam", "mobilesamv2_vit_t"} <= set(detection.decoders)
    assert not [name for name in detection.decoders if name.startswith(("sam2", "hqsam"))]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"mask_decoder.surplus": torch.zeros(1)}, ("unexpected", "mask_decoder.surplus")),
        ({"image_encoder.neck.1.bias": torch.zeros(7)}, ("misshapen", "image_encoder.neck.1.bias")),
        ({"image_encoder.neck.1.bias": None}, ("missing", "image_encoder.neck.1.bias")),
    ],
)
def test_a_model_but_for_a_few_tensors(tmp_path: Path, change: dict, problem: tuple) -> None:
    encoder, decoder = halves("mobilesam")
    state = {k: v for k, v in (encoder | decoder | change).items() if v is not None}
    detection = detected(tmp_path, state)
    assert not detection.fits
    assert detection.near.models == ("mobilesam", "mobilesamv2_vit_t", "tinysam")
    named = getattr(detection.near, problem[0])
    assert [getattr(name, "name", name) for name in named] == [problem[1]]
    faulty = problem[1].partition(".")[0]
    parts = ["image_encoder", "prompt_encoder", "mask_decoder"]
    assert sorted(detection.near.whole) == sorted(part for part in parts if part != faulty)


def test_a_file_that_fits_no_model(tmp_path: Path) -> None:
    detection = detected(tmp_path, {"fc.weight": torch.zeros(2, 2)})
    assert detection == Detection(
        tensors=1, parameters=4, family=None, models=(), encoders=(), decoders=()
    )
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    with pytest.raises(CheckpointMismatch):
        detect(tmp_path / "broken.pt")


def test_the_two_files_of_fastsam3d(tmp_path: Path) -> None:
    """Its encoder, and SAM-Med3D's file, whose own encoder it does not need."""
    encoder, decoder = halves("fastsam3d")
    student = detected(tmp_path, {"model_state_dict": encoder})
    assert (student.encoders, student.decoders) == (("fastsam3d",), ())
    assert student.family == "FastSAM3D (encoder)"
    unused = {"image_encoder.blocks.0.attn.rel_pos_d": torch.zeros(15, 64)}
    teacher = detected(tmp_path, {"model_state_dict": unused | decoder})
    assert (teacher.encoders, teacher.decoders) == ((), ("fastsam3d",))
    assert teacher.family == "SAM-Med3D"
