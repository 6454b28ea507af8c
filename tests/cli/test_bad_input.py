"""Bad input of every kind gives one clear message and the right exit code."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.catalog import runtimes
from edgekit.records import MANIFEST_SCHEMA
from edgekit.runtimes import installed
from tests.manifests import change_manifest


def refused(result, *words: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.count("error: ") == 1
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


# --- photos ---------------------------------------------------------------------------------------


def test_a_photo_that_is_not_an_image(run, bundle, tmp_path, left_half):
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    refused(run("predict", bundle, text, "--point", "1,1"), "notes.txt", "not an image")


def test_a_truncated_photo(run, bundle, photo, left_half):
    photo.write_bytes(photo.read_bytes()[:60])
    refused(run("predict", bundle, photo, "--point", "1,1"), "photo.png", "Expected:")


def test_a_photo_that_is_not_there(run, bundle, left_half):
    refused(run("predict", bundle, "nowhere.jpg", "--point", "1,1"), "nowhere.jpg", "no such file")


def test_a_folder_instead_of_a_photo(run, bundle, tmp_path, left_half):
    refused(run("predict", bundle, tmp_path, "--point", "1,1"), "a folder")


def test_a_folder_without_photos(run, bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(run("verify", bundle, "--photos", tmp_path / "empty"), "empty", "no photos")


def test_a_missing_folder_of_photos(run, bundle):
    refused(run("verify", bundle, "--photos", "nowhere"), "nowhere")


def test_a_malformed_coco_file(run, bundle, tmp_path):
    file = tmp_path / "instances.json"
    file.write_text("[1, 2")
    refused(run("verify", bundle, "--photos", file), "instances.json")


# --- prompts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (("--point", "500,10"), ("(500, 10)", "outside", "x from 0 to 160")),
        (("--point", "-1,10"), ("outside",)),
        (("--box", "150,10,180,50"), ("middle of the box (150, 10, 180, 50)", "outside")),
        (("--box", "1,1,9,9", "--box", "170,1,180,9"), ("Prompt 1: ", "(170, 1, 180, 9)")),
        (("--box", "1,1,9,9", "--box", "2,2,9,9", "--point", "5,5"), ("2 boxes, and points",)),
        (("--box", "1,1,9,9", "--masks", "a.jpg"), ("Masks cannot be written as '.jpg'",)),
        (("--box", "1,1,9,9", "--masks", "no/a.png"), ("folder 'no' does not exist", "mkdir")),
        (("--box", "1,1,9,9", "--masks", "no/a"), ("folder 'no' does not exist", "mkdir")),
        (("--point", "10,10,2"), ("no point label 2", "1 foreground, 0 background")),
        (("--point", "10,10,-1"), ("no point label -1",)),
        (("--point", "10,10,0.5"), ("10,10,0.5 is not a point",)),
        (("--box", "50,10,50,60"), ("no area", "x0 < x1")),
        (("--box", "50,10,40,60"), ("no area",)),
        (("--box", "10,60,50,20"), ("no area",)),
        (("--point", "nan,10"), ("NaN",)),
        (("--point", "10,10,nan"), ("nan is not a point",)),
        (("--point", "10,10,inf"), ("inf is not a point",)),
        (("--box", "10,10,nan,40"), ("NaN",)),
        (("--point", "inf,10"), ("infinity",)),
        (("--point", "ten,10"), ("ten,10 is not a point", "for example --point")),
        (("--point", "10"), ("10 is not a point",)),
        (("--point", "1,2,1,1"), ("is not a point",)),
        (("--point", ""), ("is not a point",)),
        (("--box", "1,2,3"), ("is not a box", "for example --box")),
        (("--box", ""), ("is not a box",)),
        ((), ("no prompt", "--point x,y")),
    ],
)
def test_prompts(run, bundle, photo, left_half, prompt, words):
    refused(run("predict", bundle, photo, *prompt), *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--point", "5,5", "--box", "1,1,9,9"), ("points and a box", "Expected: points or a box")),
        (("--point", "5,5", "--multimask"), ("does not take multimask",)),
        (("--multimask",), ("there is no prompt",)),
        (("--text", "the black dog"), ("no text as a prompt", "CLIP")),
        (("--point", "500,10"), ("outside",)),
    ],
)
def test_what_a_detector_does_not_take(run, detector, photo, two_halves, options, words):
    refused(run("predict", detector, photo, *options), *words)


def test_a_graph_that_a_detector_does_not_have(run, detector):
    def copy(manifest):
        manifest["artifacts"].append({**manifest["artifacts"][0], "role": "decoder"})

    change_manifest(detector, copy)
    refused(run("inspect", detector), "one encoder is needed, and no other graph")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--point", "5,5,0"), ("does not take background points", "foreground points or a box")),
        ((), ("no prompt", "--point x,y")),
    ],
)
def test_what_cannot_be_drawn(run, drawn, photo, left_half, options, words):
    refused(run("predict", drawn, photo, *options), *words)


def test_a_radius_that_draws_nothing(run, drawn):
    change_manifest(drawn, lambda manifest: manifest["client"]["drawing"].update(radius=0.0))
    refused(run("inspect", drawn), "client.drawing.radius: must be above 0")


def test_impossible_rules_of_a_detector(run, detector):
    def change(manifest):
        manifest["client"]["objects"] |= {"overlap": 2.0, "most": 10**9}
        manifest["client"]["preprocessing"]["fill"] = 300

    change_manifest(detector, change)
    refused(run("inspect", detector), "overlap and whole", "objects.most", "preprocessing.fill")


def test_a_rule_of_a_wrong_type_is_located_in_the_right_record(run, detector):
    change_manifest(detector, lambda manifest: manifest["client"]["objects"].update(most="many"))
    result = run("inspect", detector)
    refused(result, "client.objects.most: ")
    assert "prompts" not in result.stderr


def test_a_prompt_outside_the_photo_is_refused_before_the_bundle_is_opened(run, photo):
    refused(run("predict", "nowhere", photo, "--point", "500,10"), "outside")


def test_a_recording_has_a_place(run, bundle):
    refused(run("record", bundle, "--out", "none/reference.zip"), "none", "mkdir -p none")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--reference", "none.zip"), ("none.zip", "edgekit record")),
        (("--reference", "none.zip", "--weights", "seeded"), ("--weights are not used",)),
        (("--reference", "none.zip", "--everything"), ("--reference",)),
    ],
)
def test_a_recording_that_cannot_be_used(run, bundle, options, words):
    refused(run("verify", bundle, *options), *words)


# --- names ----------------------------------------------------------------------------------------


def test_an_unknown_model_suggests_the_nearest(run):
    refused(run("export", "nanosan", "--target", "x86-fp32"), "nanosan", "did you mean 'nanosam'")


@pytest.mark.parametrize("command", [("export", "nanosam", "--target"), ("targets",)])
def test_an_unknown_target_suggests_the_nearest(run, command):
    refused(run(*command, "x86-fp23"), "x86-fp23", "did you mean x86-fp32")


def test_one_unknown_target_of_several_is_refused_before_any_work(run, exports):
    requests = exports(x86_fp32=None)
    refused(run("export", "nanosam", "-t", "x86-fp32", "-t", "x86-fp23"), "x86-fp23")
    assert requests == []


def test_an_unknown_model_in_a_bundle(run, bundle):
    change_manifest(bundle, lambda manifest: manifest.update(model="nanosaw"))
    refused(run("verify", bundle), "nanosaw", "nanosam")


# --- pairs and runtimes ---------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"precisions": ()}, {"oldest_opset": 99}])
def test_a_target_that_edgekit_cannot_make(run, tmp_path, monkeypatch, change):
    row = replace(runtimes.runtime_row("openvino"), **change)
    monkeypatch.setattr(runtimes, "RUNTIMES", {**runtimes.RUNTIMES, "openvino": row})
    result = run("export", "nanosam", "--target", "x86-fp32", "--out", tmp_path)
    refused(result, "cannot be exported to", "Next: edgekit targets", code=3)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def bare_device(monkeypatch):
    """A machine without any runtime."""
    monkeypatch.setattr(installed, "find_spec", lambda _: None)


@pytest.mark.usefixtures("bare_device")
@pytest.mark.parametrize(
    ("target", "extra"), [("x86-fp32", "openvino"), ("x86-ort-fp32", "onnxruntime")]
)
def test_export_without_the_runtime_names_the_extra(run, tmp_path, target, extra):
    result = run("export", "nanosam", "-t", target, "--out", tmp_path, "--weights", "seeded")
    refused(result, f"pip install 'edgekit[{extra}]'", code=3)


@pytest.mark.usefixtures("bare_device")
def test_predict_without_the_runtime_names_the_extra(run, bundle, photo):
    result = run("predict", bundle, photo, "--point", "5,5")
    refused(result, "pip install 'edgekit[openvino]'", code=3)


@pytest.mark.usefixtures("without_torch")
def test_verify_without_torch_names_the_extra(run, bundle, left_half):
    refused(run("verify", bundle), "torch", "pip install 'edgekit[export]'", code=3)


@pytest.fixture
def without_torch(monkeypatch):
    """A device without torch; modules of edgekit that imported it are unloaded."""
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("edgekit.models.")]:
        if "torch" in vars(sys.modules[name]):
            monkeypatch.delitem(sys.modules, name)


# --- weights --------------------------------------------------------------------------------------


def test_missing_weights(run, tmp_path):
    result = run("export", "nanosam", "-t", "x86-fp32", "--weights", "no.pt", "--out", tmp_path)
    refused(result, "no.pt", "official, bundled, seeded")


def test_a_keyword_among_paths(run, tmp_path):
    weights = ("--weights", "seeded", "--weights", "no.pt")
    result = run("export", "nanosam", "-t", "x86-fp32", *weights, "--out", tmp_path)
    refused(result, "cannot be combined")


# --- bundles --------------------------------------------------------------------------------------

OPENS_A_BUNDLE = pytest.mark.parametrize("command", ["inspect", "verify", "predict"])


@pytest.fixture
def opened(run, bundle, photo):
    """`opened(command)`: the result of a command that reads the bundle."""
    more = {"predict": (photo, "--point", "5,5")}
    return lambda command: run(command, bundle, *more.get(command, ()))


@OPENS_A_BUNDLE
def test_a_changed_file_is_named(opened, bundle, command):
    file = bundle / "decoder.xml"
    file.write_text(file.read_text().replace("the", "THE"))
    refused(opened(command), "decoder.xml", "was changed", "edgekit export")


@OPENS_A_BUNDLE
def test_a_missing_file_is_named(opened, bundle, command):
    (bundle / "encoder.xml").unlink()
    refused(opened(command), "encoder.xml", "missing")


@OPENS_A_BUNDLE
@pytest.mark.parametrize("path", ["/etc/passwd", "../nanosam-x86-fp32/encoder.xml"])
def test_a_path_that_escapes_is_refused(opened, bundle, command, path):
    def escape(manifest):
        manifest["artifacts"][0]["files"][0]["path"] = path
        manifest["artifacts"][0]["entry"] = path

    change_manifest(bundle, escape)
    refused(opened(command), "not a plain path inside the bundle")


@OPENS_A_BUNDLE
def test_a_link_out_of_the_bundle_to_other_bytes_is_refused(opened, bundle, command, tmp_path):
    file = bundle / "encoder.xml"
    file.rename(tmp_path / "outside.xml")
    (tmp_path / "outside.xml").write_text("THE encoder")
    file.symlink_to(tmp_path / "outside.xml")
    refused(opened(command), "encoder.xml was changed")


@pytest.mark.parametrize(
    ("where", "options"),
    [
        ("target", {"CACHE_DIR": "/tmp/anywhere"}),
        ("artifact", {"CACHE_DIR": "/tmp/anywhere"}),
        ("target", {"NUM_STREAMS": "many"}),
        ("artifact", {"": ""}),
    ],
)
def test_options_that_no_runtime_gets_are_shown_and_refused(run, opened, bundle, where, options):
    def add(manifest):
        place = manifest["target"] if where == "target" else manifest["artifacts"][0]
        place["options"] |= options

    change_manifest(bundle, add)
    refused(opened("predict"), "options.", "Next: export it again")
    result = opened("inspect")
    assert result.exit_code == 0
    assert "edgekit does not run this bundle: options." in result.stderr
    assert "Next: export it again" in result.stderr
    for name, value in options.items():
        assert f"{name} = {value!r}" in result.stdout
    assert json.loads(run("inspect", bundle, "--json").stdout)


@OPENS_A_BUNDLE
def test_a_manifest_that_does_not_parse(opened, bundle, command):
    (bundle / "manifest.json").write_text("{")
    refused(opened(command), "manifest.json")


@OPENS_A_BUNDLE
def test_a_manifest_with_a_newer_schema(opened, bundle, command):
    change_manifest(bundle, lambda manifest: manifest.update(schema=99))
    refused(opened(command), "schema 99", f"Expected: schema {MANIFEST_SCHEMA}")


def test_a_folder_that_is_not_a_bundle(run, tmp_path):
    refused(run("inspect", tmp_path), "no manifest.json", "edgekit export")


def test_a_missing_bundle(run):
    refused(run("verify", "nowhere"), "nowhere", "no such folder")


@pytest.mark.parametrize("command", ["verify", "export", "evaluate"])
def test_photos_is_where_the_photos_of_a_json_are(run, bundle, tmp_path, command):
    ann = tmp_path / "made" / "ann.json"
    ann.parent.mkdir()
    ann.write_text('{"images": [{"id": 1, "file_name": "photo.png"}]}')
    before = {
        "verify": (bundle, "--annotations", ann),
        "export": ("nanosam", "-t", "x86-int8", "--calibration", ann, "--out", tmp_path / "o"),
        "evaluate": (bundle, ann),
    }[command]
    refused(run(command, *before), "'photo.png' is missing", "--photos")
    refused(run(command, *before, "--photos", tmp_path / "gone"), "there is no folder")
    (tmp_path / "photo.png").write_bytes(b"no photo")
    result = run(command, *before, "--photos", tmp_path)
    refused(result, "photo.png")
    assert "missing" not in result.stderr


# --- where to write -------------------------------------------------------------------------------


def test_an_existing_bundle_is_not_replaced_without_force(run, bundle):
    out = bundle.parent
    result = run("export", "nanosam", "-t", "x86-fp32", "--out", out, "--weights", "seeded")
    refused(result, "exists already", "--force")


def test_a_folder_that_is_not_a_bundle_is_never_replaced(run, tmp_path):
    precious = tmp_path / "nanosam-x86-fp32" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("years of work")
    result = run("export", "nanosam", "-t", "x86-fp32", "--out", tmp_path, "--force")
    refused(result, "not a bundle")
    assert precious.read_text() == "years of work"


@pytest.mark.parametrize(
    ("name", "words"), [("mask.mp4", ("picture format", "mask.png")), ("no/mask.png", ("mkdir",))]
)
def test_an_unwritable_picture(run, bundle, photo, left_half, name, words):
    refused(run("predict", bundle, photo, "--point", "5,5", "--out", name), *words)


def test_an_unwritable_comparison_is_refused_before_the_work(run, bundle):
    refused(run("verify", bundle, "--picture", "worst.txt"), "picture format", "worst.png")


def test_a_close_up_in_json_that_is_not_asked_for(run, bundle):
    refused(run("verify", bundle, "--picture", "-"), "--json is not given", "add --json -")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--json", "no/figures.json"), ("mkdir",)),
        (("--json=no/figures",), ("mkdir",)),
        (("--json=.",), ("folder",)),
    ],
)
@pytest.mark.parametrize("command", ["verify", "inspect", "bench"])
def test_an_unwritable_json_file_is_refused_before_the_work(run, bundle, command, option, words):
    refused(run(command, bundle, *option), *words)


def test_json_never_takes_the_place_of_a_pipe_or_a_device(run, bundle, tmp_path):
    os.mkfifo(tmp_path / "pipe")  # no device: as root, a test that fails would remove it
    result = run("inspect", bundle, f"--json={tmp_path / 'pipe'}")
    refused(result, "is a device or a pipe", "use --json without a name")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("predict", "b", "in.png", "--out", "in.png"), "--out"),
        (("predict", "b", "in.png", "--out=./in.png"), "--out"),
        (("predict", "b", "link.png", "--out", "in.png"), "--out"),
        (("predict", "--out", "in.png", "b", "in.png"), "--out"),
        (("predict", "b", "in.png", "--boxes", "in.json", "--json", "in.json"), "--json"),
        (("evaluate", "b", "in.json", "--json", "in.json"), "--json"),
        (("predict", "b", "in.png", "--text", "x" * 5000, "--out", "in.png"), "--out"),
        (("evaluate", "b", "x.json", "--detections", "in.json", "--json=in.json"), "--json"),
        (("verify", "b", "--photos", "in.png", "--picture", "in.png"), "--picture"),
        (("verify", "b", "--annotations", "in.json", "--json", "in.json"), "--json"),
        (("bench", "in.zip", "--plot", "in.png", "--photo", "in.png"), "--plot"),
    ],
)
def test_no_file_is_written_over_one_that_is_read(run, tmp_path, monkeypatch, arguments, option):
    monkeypatch.chdir(tmp_path)
    for name in ("in.png", "in.json"):
        Path(name).write_bytes(b"mine")
    Path("link.png").symlink_to("in.png")
    refused(run(*arguments), f"{option} would write over '", "another file")
    assert {Path(name).read_bytes() for name in ("in.png", "in.json")} == {b"mine"}


def test_a_name_that_is_no_file_may_be_there_twice(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nanosam").mkdir()
    assert "nosuch" in run("export", "nanosam", "--target", "nosuch", "--out", "nanosam").stderr


@pytest.mark.parametrize("value", ["nan", "1.5", "-0.1", "high"])
def test_an_invalid_minimum_iou(run, bundle, value):
    result = run("verify", bundle, "--min-iou", value)
    assert result.exit_code == 2
    assert "--min-iou" in result.stderr


def test_usage_errors(run):
    for mistake in (("export", "nanosam"), ("export",), ("--colour",), ("exprot",)):
        result = run(*mistake)
        assert result.exit_code == 2
        assert "Error" in result.stderr
