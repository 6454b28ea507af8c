"""`edgekit detect` names the models that fit a file, and the next command."""

import json

import pytest

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """A decoder alone; many models have the same one."""
    from edgekit.models.sam import SamDecoder

    path = tmp_path_factory.mktemp("weights") / "decoder.pt"
    torch.save(SamDecoder().state_dict(), path)
    return path


def test_half_a_model(run, decoder):
    shown = run("detect", decoder)
    assert shown.exit_code == 0
    assert "137 tensors, 4.1 M parameters" in shown.stdout
    assert "Fits the decoder of: nanosam, mobilesam" in shown.stdout
    assert "nanosam" in json.loads(run("detect", decoder, "--json").stdout)["decoders"]


def test_a_whole_model_names_the_next_command(run, tmp_path):
    from edgekit.models import registry
    from edgekit.models.checkpoints.fit import build

    encoder, decoder = build(registry.model("mobilesam"))
    state = {f"image_encoder.{name}": value for name, value in encoder.state_dict().items()}
    path = tmp_path / "unknown.pt"
    torch.save(state | decoder.state_dict(), path)
    shown = run("detect", path).stdout
    assert "Fits: mobilesam, mobilesamv2_vit_t, tinysam" in shown
    assert "Ambiguous" in shown
    assert f"edgekit export mobilesam --target NAME --weights {path}" in shown


def test_a_missing_file(run, tmp_path):
    missing = run("detect", tmp_path / "absent.pt")
    assert missing.exit_code == 2
    assert "no checkpoint file" in missing.output


def test_a_file_that_fits_nothing_exits_with_2(run, tmp_path):
    path = tmp_path / "lora.pt"
    torch.save({"w_a_000": torch.zeros(4, 768)}, path)
    shown = run("detect", path)
    assert shown.exit_code == 2
    assert "It fits no model of edgekit." in shown.stdout
    assert "merge_and_unload" in shown.stdout
    assert json.loads(run("detect", path, "--json").stdout)["models"] == []
