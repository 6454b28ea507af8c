"""Bundles are read as untrusted input."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from edgekit import records
from edgekit.errors import BundleCorrupt
from edgekit.records import Bundle, EverythingRule, Manifest
from edgekit.store import bounds, digest_file, read_bundle, write_manifest

Tamper = Callable[[Callable[[dict[str, Any]], None]], Path]


def refusal(path: Path, *, check_digests: bool = True) -> str:
    with pytest.raises(BundleCorrupt) as caught:
        read_bundle(path, check_digests=check_digests)
    assert caught.value.exit_code == 2
    assert caught.value.next_step
    return caught.value.what


def first_file(document: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = document["artifacts"][0]["files"][0]
    return entry


def renamed(name: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        first_file(document)["path"] = name
        document["artifacts"][0]["entry"] = name

    return change


def test_a_written_manifest_is_read_back(bundle: Path, manifest: Manifest) -> None:
    assert read_bundle(bundle) == Bundle(path=bundle, manifest=manifest)


def test_relative_path_and_link_to_a_bundle(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "latest").symlink_to(bundle, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    assert read_bundle(Path("latest")).path == tmp_path / "latest"


def test_no_bundle(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nothing")
    assert "no manifest.json" in refusal(tmp_path)
    assert "cannot be read" in refusal(tmp_path / ("n" * 300))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_as_manifest_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    assert "no manifest.json" in refusal(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.onnx",
        "golden/../../outside.onnx",
        "..",
        "",
        ".",
        "golden/..",
        "/etc/hostname",
        "C:\\Windows\\win.ini",
        "..\\outside.onnx",
        "a//b",
        "encoder.onnx/",
        "line\nbreak",
        "nul\0byte",
        "n" * 101,
        "/".join("d" * 10),
    ],
)
def test_unsafe_path(tampered: Tamper, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside.onnx").write_bytes(b"graph of the encoder")
    message = refusal(tampered(renamed(name)))
    assert "is not a plain path inside the bundle" in message
    assert "\n" not in message


def test_golden_paths_are_checked_too(tampered: Tamper) -> None:
    path = tampered(lambda document: document["golden"][0].update(path="../golden.npz"))
    assert "../golden.npz is not a plain path" in refusal(path)


def test_a_bundle_in_the_cache_of_the_hub(bundle: Path, tmp_path: Path) -> None:
    """Every file, the manifest too, is a relative link to a blob that is named by its digest."""
    snapshot = as_snapshot(bundle, tmp_path / "hub")
    assert read_bundle(snapshot, check_digests=False).path == snapshot
    assert read_bundle(snapshot).manifest == read_bundle(bundle).manifest


@pytest.mark.parametrize("check_digests", [True, False])
def test_a_link_out_of_the_bundle_to_other_bytes(
    bundle: Path, tmp_path: Path, check_digests: bool
) -> None:
    file = bundle / "encoder.onnx"
    (tmp_path / "other").write_bytes(bytes(len(file.read_bytes())))
    file.unlink()
    file.symlink_to(tmp_path / "other")
    assert "encoder.onnx was changed" in refusal(bundle, check_digests=check_digests)


@pytest.mark.parametrize("target", ["folder", "/dev/zero", "nothing"])
def test_a_link_to_what_is_no_regular_file(bundle: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (bundle / "encoder.onnx").unlink()
    (bundle / "encoder.onnx").symlink_to(tmp_path / target)
    assert "encoder.onnx is " in refusal(bundle)


def as_snapshot(bundle: Path, hub: Path) -> Path:
    """The bundle as `huggingface_hub` caches it: links in `snapshots`, content in `blobs`."""
    snapshot, blobs = hub / "snapshots" / "f00", hub / "blobs"
    blobs.mkdir(parents=True)
    for number, file in enumerate(sorted(bundle.rglob("*"))):
        link = snapshot / file.relative_to(bundle)
        if file.is_file():
            (blobs / str(number)).write_bytes(file.read_bytes())
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    return snapshot


def test_all_golden_vectors_may_be_missing_but_not_some(tampered: Tamper, bundle: Path) -> None:
    second = bundle / "golden" / "case-1.npz"
    second.write_bytes(b"second")

    def list_second(document: dict[str, Any]) -> None:
        listed = digest_file(second, bundle)
        document["golden"].append(asdict(listed))

    path = tampered(list_second)
    assert read_bundle(path)
    (path / "golden" / "case-0.npz").unlink()
    assert "golden/case-0.npz is missing" in refusal(path)
    shutil.rmtree(path / "golden")
    assert read_bundle(path)


def test_loop_of_links(bundle: Path) -> None:
    (bundle / "encoder.onnx").unlink()
    (bundle / "encoder.onnx").symlink_to(bundle / "encoder.onnx")
    assert "encoder.onnx is missing" in refusal(bundle)


def test_folder_in_place_of_a_file(bundle: Path) -> None:
    (bundle / "encoder.onnx").unlink()
    (bundle / "encoder.onnx").mkdir()
    assert "encoder.onnx is not a file" in refusal(bundle)


def test_missing_file(bundle: Path) -> None:
    (bundle / "decoder.onnx").unlink()
    assert "decoder.onnx is missing" in refusal(bundle)
    assert "decoder.onnx is missing" in refusal(bundle, check_digests=False)


def test_changed_file_of_the_same_size(bundle: Path) -> None:
    content = bytearray((bundle / "decoder.onnx").read_bytes())
    content[3] ^= 1
    (bundle / "decoder.onnx").write_bytes(content)
    assert "decoder.onnx was changed" in refusal(bundle)
    assert read_bundle(bundle, check_digests=False).manifest.model == "nanosam"


def test_shortened_file_is_found_without_digests(bundle: Path) -> None:
    (bundle / "decoder.onnx").write_bytes(b"gra")
    assert "decoder.onnx has 3 bytes instead of 20" in refusal(bundle, check_digests=False)


@pytest.mark.parametrize("size", [10**18, -1, 0, 10**4000])
def test_wrong_size(tampered: Tamper, size: int) -> None:
    path = tampered(lambda document: first_file(document).update(bytes=size))
    assert "encoder.onnx has 20 bytes instead of " in refusal(path)


def test_one_message_names_every_problem(bundle: Path) -> None:
    (bundle / "decoder.onnx").unlink()
    (bundle / "golden" / "case-0.npz").write_bytes(b"other!")
    message = refusal(bundle)
    assert "decoder.onnx is missing" in message
    assert "golden/case-0.npz was changed" in message


@pytest.mark.parametrize(
    ("change", "located"),
    [
        (lambda d: d.update(model=7), "model: "),
        (lambda d: d.pop("client"), "client: missing"),
        (lambda d: d.update(surprise=1), "surprise: unknown key"),
        (lambda d: d["target"].update(surprise=1), "target.surprise: unknown key"),
        (lambda d: d["artifacts"][0].update(run="x"), "artifacts.0.run: unknown key"),
        (lambda d: d["artifacts"][0].update(format="pickle"), "artifacts.0.format: "),
        (lambda d: d["artifacts"][0].update(files="all"), "artifacts.0.files: "),
        (lambda d: first_file(d).update(bytes="20"), "artifacts.0.files.0.bytes: "),
        (lambda d: first_file(d).update(bytes=True), "artifacts.0.files.0.bytes: "),
        (lambda d: d["target"]["gate"].update(mean_iou=float("nan")), "target.gate.mean_iou: "),
        (lambda d: d["client"]["masks"].update(threshold=float("inf")), "client.masks.threshold: "),
        (lambda d: d["client"]["preprocessing"].update(mean=[0.0]), "client.preprocessing.mean"),
        (lambda d: d.update(schema=True), "schema: "),
        (lambda d: d.update(schema=None), "no schema number"),
        (lambda d: d.pop("schema"), "no schema number"),
    ],
)
def test_wrong_types_and_keys(
    tampered: Tamper, change: Callable[[dict[str, Any]], None], located: str
) -> None:
    assert located in refusal(tampered(change))


def origin(**changes: object) -> dict[str, object]:
    plain = {"files": [7], "role": "decoder", "tensors": 120, "prefixes": ["mask_decoder."]}
    return plain | changes


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d["client"]["preprocessing"].update(frame=10**9), "frame: must be 1 to 4096"),
        (lambda d: d["client"]["preprocessing"].update(std=[1.0, 0.0, 1.0]), "std: must be pos"),
        (
            lambda d: d["client"]["masks"]["multimask"].update(masks=[1, 6]),
            "masks: indices must be 0",
        ),
        (lambda d: d["client"]["masks"]["single"].update(masks=[-1]), "masks: indices must be 0"),
        (lambda d: d["client"]["masks"]["multimask"].update(masks=[]), "masks: indices must be 0"),
        (lambda d: d["client"]["everything"]["choice"].update(masks=[6]), "choice: indices must"),
        (lambda d: d["client"]["everything"].update(grid=257), "grid must be 1 to 256"),
        (lambda d: d["client"]["everything"].update(crops=-1), "crops 0 to 3"),
        (lambda d: d["client"]["everything"].update(overlap=1.5), "overlaps must be 0 to 1"),
        (lambda d: d["client"]["everything"].update(crop_grid_divisor=0), "must be positive"),
        (lambda d: d["client"]["masks"]["single"].update(masks=[0, 1]), "must choose one mask"),
        (lambda d: d["client"]["masks"].update(side=0), "masks.side: must be 1 to 4096"),
        (lambda d: d["client"]["prompts"].update(padding_point="fill"), "needs max_points"),
        (lambda d: d["client"]["prompts"].update(point_margin=0), "point_margin: must be positive"),
        (lambda d: d["client"]["prompts"].update(max_points=0), "max_points: must be at least 1"),
        (lambda d: d["target"]["gate"].update(min_iou=-1.0), "target.gate: 0 <= min_iou"),
        (lambda d: d["target"].update(prompt_slots=[0]), "target.prompt_slots: must be"),
        (lambda d: d["target"].update(prompt_slots=[5, 16]), "a decoder for each of target.prompt"),
        (lambda d: d["target"].update(prompt_slots=[8]), "point_labels do not have target.prompt"),
        (
            lambda d: d["target"].update(prompt_slots=[8], prompt_batches=[[8, 2]]),
            "a decoder for each of target.prompt_slots and prompt_batches",
        ),
        (lambda d: d["target"].update(prompt_batches=[[8, 2]]), "target.prompt_batches: must be"),
        (lambda d: d["artifacts"].pop(), "one encoder and one decoder"),
        (lambda d: d["artifacts"][0].update(role="decoder"), "one encoder and one decoder"),
        (
            lambda d: d["artifacts"][0].update(entry="golden/case-0.npz"),
            "encoder.entry: is neither",
        ),
        (lambda d: d["artifacts"][0]["inputs"][0].update(shape=[1, 0]), "image has a size below"),
        (lambda d: d["golden"].append(d["golden"][0]), "a file is listed twice"),
        (lambda d: d["weights"].update(origins=[origin()]), "weights.origins: names a file that"),
        (
            lambda d: d["weights"].update(origins=[origin(files=[-1])]),
            "weights.origins.files: must be at least 0",
        ),
        (
            lambda d: d["weights"].update(origins=[origin(tensors=0)]),
            "weights.origins.tensors: must be at least 1",
        ),
        (lambda d: d["target"].update(runtime_versions="garbage"), "target.runtime_versions: must"),
        (lambda d: d["artifacts"][0]["inputs"][0].update(dtype="foo"), "image has the type foo"),
        (lambda d: d["client"]["preprocessing"].update(frame=1), "frame: is 1, and the encoder's"),
        (lambda d: d["client"]["masks"].update(side=64), "masks.side: is 64, and the decoder's"),
        (lambda d: d["client"]["masks"]["multimask"].update(masks=[4]), "must be below 4"),
        (
            lambda d: d["client"]["masks"]["single"].update(
                unless_stable={"index": 4, "offset": 1.0, "threshold": 0.5}
            ),
            "must be below 4",
        ),
        (
            lambda d: d["client"]["masks"]["single"].update(
                unless_stable={"index": 0, "offset": 1.0, "threshold": 0.5, "measured": 4}
            ),
            "must be below 4",
        ),
    ],
)
def test_values_that_cannot_be_right(
    tampered: Tamper, change: Callable[[dict[str, Any]], None], problem: str
) -> None:
    assert problem in refusal(tampered(change))


@pytest.mark.parametrize("number", [10**9 + 1, 10**12, 2**80])
@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d, n: d["target"].update(opset=n), "target.opset"),
        (lambda d, n: d["target"].update(memory_mb=n), "target.memory_mb"),
        (lambda d, n: d["target"].update(prompt_slots=[n]), "target.prompt_slots"),
        (lambda d, n: d["target"].update(prompt_batches=[[n, 2]]), "target.prompt_batches"),
        (lambda d, n: d["client"]["preprocessing"].update(frame=n), "client.preprocessing.frame"),
        (lambda d, n: d["client"]["preprocessing"].update(fill=n), "client.preprocessing.fill"),
        (lambda d, n: d["client"]["preprocessing"].update(mean=[n, 0, 0]), "preprocessing.mean"),
        (lambda d, n: d["client"]["prompts"].update(max_points=n), "client.prompts.max_points"),
        (lambda d, n: d["client"]["prompts"].update(frame=n), "client.prompts.frame"),
        (lambda d, n: d["client"]["masks"].update(side=n), "client.masks.side"),
        (lambda d, n: d["client"]["masks"].update(threshold=n), "client.masks.threshold"),
        (lambda d, n: d["artifacts"][0]["ops"].update(Conv=n), "artifacts.ops"),
        (lambda d, n: d["artifacts"][0].update(macs=n * 10**10), "artifacts.macs"),
        (lambda d, n: d["artifacts"][0]["inputs"][0].update(shape=[1, n]), "inputs.shape"),
        (
            lambda d, n: d["artifacts"][0].update(
                memory={"weights": n * 10**9, "activations": 1, "sizes": {"points": n}}
            ),
            "artifacts.memory.weights",
        ),
        (lambda d, n: d["label_codes"].update(background=n), "label_codes"),
    ],
)
def test_numbers_without_measure(
    tampered: Tamper, change: Callable[[dict[str, Any], int], None], where: str, number: int
) -> None:
    problem = refusal(tampered(lambda document: change(document, number)))
    assert where in problem


def test_a_tensor_of_many_axes(tampered: Tamper) -> None:
    for shape in ([2**20, 2**20], [1] * 9):
        bundle = tampered(lambda d, s=shape: d["artifacts"][1]["inputs"][0].update(shape=s))
        assert "artifacts.inputs.shape: must have" in refusal(bundle)


def test_no_number_of_a_record_is_without_bounds() -> None:
    """The table names fields that exist, so that a renamed field does not lose its bounds."""
    names = {
        field.name
        for record in vars(records).values()
        if is_dataclass(record)
        for field in fields(record)
    }
    assert set(bounds._BOUNDS) <= names


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"schema": 1' + b"0" * 5000 + b"}",
        b'{"schema": 1}, {"schema": 1}',
        b'{"schema": 1, "model": "\\ud800"}',
    ],
)
def test_malformed_manifest(bundle: Path, text: bytes) -> None:
    (bundle / "manifest.json").write_bytes(text)
    assert len(refusal(bundle)) < 2500


def test_huge_manifest(bundle: Path) -> None:
    with (bundle / "manifest.json").open("wb") as file:
        file.truncate(2**40)  # sparse: takes no disk
    assert "larger than" in refusal(bundle)


def test_schema_of_another_edgekit(tampered: Tamper) -> None:
    path = tampered(lambda document: document.update(schema=2, edgekit="9.1", novelty={}))
    with pytest.raises(BundleCorrupt, match=r"schema 2; edgekit 9\.1") as caught:
        read_bundle(path)
    assert caught.value.expected == "schema 1"


def test_bundle_of_edgekit_0_1_still_opens(tampered: Tamper) -> None:
    def as_0_1(document):
        for artifact in document["artifacts"]:
            artifact["weights"] = None
        del document["client"]["everything"]

    manifest = read_bundle(tampered(as_0_1)).manifest
    assert manifest.artifacts
    assert manifest.client.everything == EverythingRule()


def test_control_characters_do_not_reach_the_terminal(tampered: Tamper) -> None:
    message = refusal(tampered(renamed("\x1b[2Jevil")))
    assert "\x1b" not in message
    assert "\\x1b[2Jevil" in message


def test_a_long_list_of_problems_is_shortened(tampered: Tamper) -> None:
    def change(document: dict[str, Any]) -> None:
        document.update({f"key{number}": 1 for number in range(5000)})

    message = refusal(tampered(change))
    assert "key0: unknown key" in message
    assert "and 4992 more" in message
    assert "key8:" not in message


def test_manifest_is_written_atomically(
    bundle: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (bundle / "manifest.json").read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(bundle, manifest)
    assert (bundle / "manifest.json").read_bytes() == before
    assert not list(bundle.glob(".*"))
