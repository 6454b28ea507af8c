"""Device profiles: those that ship, and errors in others."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from edgekit.catalog import tables, target, target_or_file, targets
from edgekit.catalog.options import refused_options
from edgekit.catalog.runtimes import RUNTIMES
from edgekit.errors import BadInput, UnknownName
from edgekit.records import Precision, Target

# The profiles that edgekit promises.
NAMES = {
    "jetson-fp16",
    "jetson-int8",
    "jetson-nano-fp16",
    "rtx3090-fp16",
    "rtx3090-int8",
    "iphone-fp16",
    "iphone-fp32",
    "iphone-int8",
    "x86-fp32",
    "x86-bf16",
    "x86-int8",
    "x86-ort-fp32",
    "x86-ort-int8",
    "android-fp32",
    "android-fp16",
    "android-int8",
}
ROOT = Path(__file__).resolve().parents[2]
PROFILE = """
name = "board"
device = "a board"
runtime = "openvino"
runtime_versions = ">=1"
precision = "fp32"
opset = 20
memory_mb = 100
gate = { mean_iou = 0.999, min_iou = 0.99 }
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A targets folder with one profile."""
    (tmp_path / "_data" / "targets").mkdir(parents=True)
    monkeypatch.setattr(tables, "_PACKAGE", tmp_path)
    path = tmp_path / "_data" / "targets" / "board.toml"
    path.write_text(PROFILE)
    return path


def test_every_promised_profile_exists() -> None:
    assert {profile.name for profile in targets()} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_profile(name: str) -> None:
    profile = target(name)
    assert profile.name == name
    assert name.endswith(profile.precision)
    assert SpecifierSet(profile.runtime_versions)
    assert all(len(reason) > 10 for reason in profile.forbidden_ops.values())
    assert profile.gate.mean_iou > profile.gate.min_iou


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "tensorrt"])
def test_versions_equal_those_of_the_extra(runtime: str) -> None:
    extras = tables.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    extra = SpecifierSet(extras[runtime][0].removeprefix(runtime))
    for profile in targets():
        if profile.runtime == runtime and profile.name != "jetson-nano-fp16":
            assert SpecifierSet(profile.runtime_versions) == extra, profile.name


def test_openvino_targets_set_their_precision() -> None:
    """Without the hint, OpenVINO uses bf16 on a CPU that has it."""
    hints = {
        profile.name: profile.options.get("INFERENCE_PRECISION_HINT")
        for profile in targets()
        if profile.runtime == "openvino"
    }
    assert hints == {"x86-fp32": "f32", "x86-bf16": "bf16", "x86-int8": "bf16 or f32"}


def test_fixed_slots_where_the_runtime_takes_no_dynamic_shapes() -> None:
    fixed = {profile.runtime for profile in targets() if profile.prompt_slots}
    dynamic = {profile.runtime for profile in targets() if not profile.prompt_slots}
    assert fixed == {"coreml", "litert"}
    assert dynamic == {"onnxruntime", "openvino", "tensorrt"}
    assert all(profile.prompt_batches for profile in targets() if profile.prompt_slots)


def test_shapes_are_those_of_one_prompt_and_then_of_several() -> None:
    assert target("iphone-fp16").prompt_shapes == ((1, 5), (1, 16), (4, 2))
    assert target("x86-fp32").prompt_shapes == ()


def test_gates_loosen_with_precision() -> None:
    by_precision: dict[Precision, set[tuple[float, float]]] = {}
    for profile in targets():
        gate = (profile.gate.mean_iou, profile.gate.min_iou)
        by_precision.setdefault(profile.precision, set()).add(gate)
    assert by_precision[Precision.FP32] == {(0.999, 0.99)}
    assert all(len(gates) == 1 for gates in by_precision.values())
    order = [Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8]
    gates = [by_precision[precision].pop() for precision in order]
    assert gates == sorted(gates, reverse=True)


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("x86-fp23", "x86-fp32"), ("jetson-fp61", "jetson-fp16"), ("iphone", "iphone-fp16")],
)
def test_unknown_target_suggests_the_nearest(typed: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean.*{nearest}") as caught:
        target(typed)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("typed", ["", "zzz", "../targets/x86-fp32", "x86-fp32.toml\x00"])
def test_unknown_target_without_a_near_one(typed: str) -> None:
    with pytest.raises(UnknownName, match="there is no target"):
        target(typed)


def test_own_profile_is_read(board: Path) -> None:
    assert targets() == (target("board"),)
    assert isinstance(target("board"), Target)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "changed", "problem"),
    [
        ("opset = 20", 'opset = "20"', "board.toml: opset: "),
        ("opset = 20", "opset = 20.5", "board.toml: opset: "),
        ("opset = 20", "opset = 0", "board.toml: opset: must be at least 1"),
        ("opset = 20", "", "board.toml: opset: missing"),
        ("opset = 20", "opset = 20\nslots = 3", "board.toml: slots: unknown key"),
        ("opset = 20", "opset = 20\nprompt_slots = [0]", "prompt_slots: must be at least 1"),
        (
            "opset = 20",
            "opset = 20\nprompt_slots = [16, 5]",
            "must be at least 1 and in ascending order",
        ),
        *(
            ("opset = 20", f"opset = 20\n{lines}", "prompt_batches: must ")
            for lines in (
                "prompt_batches = [[8, 2]]",  # and no decoder for other prompts
                "prompt_slots = [5]\nprompt_batches = [[1, 2]]",
                "prompt_slots = [5]\nprompt_batches = [[8, 6]]",
                "prompt_slots = [5]\nprompt_batches = [[8, 0]]",
                "prompt_slots = [5]\nprompt_batches = [[8, 2], [8, 2]]",
            )
        ),
        ("opset = 20", "opset = 20\n[options]\nTHREADS = 2", "options.THREADS: "),
        ("opset = 20", "opset = ", "board.toml: Invalid value"),
        ("opset = 20", "opset = 2026-11-20", "board.toml: opset: "),
        ("min_iou = 0.99", "min_iou = nan", "board.toml: gate.min_iou: "),
        ("min_iou = 0.99", "min_iou = 0.9999", "min_iou <= mean_iou"),
        ("min_iou = 0.99", "min_iou = 0.99, p5_iou = 0.9999", "p5_iou <= mean_iou"),
        ("mean_iou = 0.999", "mean_iou = 99.9", "mean_iou <= 1"),
        ('"fp32"', '"fp64"', "board.toml: precision: "),
        ('"openvino"', '"openvivo"', "'openvivo' is none of onnxruntime, openvino"),
        ('name = "board"', 'name = "plank"', "'plank', but the file is named 'board'"),
        ("memory_mb = 100", "memory_mb = 0", "memory_mb: must be at least 1"),
        ("opset = 20", f"opset = {'[' * 100_000}", "nested too deep"),
        ("opset = 20", f"{'a.' * 10_000}b = 1", "nested too deep"),
    ],
)
def test_invalid_profile(board: Path, line: str, changed: str, problem: str) -> None:
    board.write_text(PROFILE.replace(line, changed, 1))
    for read in (targets, lambda: target("board")):
        with pytest.raises(BadInput) as caught:
            read()
        assert problem in caught.value.what


def test_profile_that_is_not_text(board: Path) -> None:
    board.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"board\.toml"):
        targets()


def test_targets_lists_the_errors_of_all_files(board: Path) -> None:
    (board.parent / "a.toml").write_text(PROFILE.replace("opset = 20", "opset = true\nx = 1"))
    (board.parent / "b.toml").write_text("")
    with pytest.raises(BadInput) as caught:
        targets()
    for problem in ("a.toml: opset: ", "a.toml: x: unknown key", "b.toml: name: missing"):
        assert problem in caught.value.what
    assert target("board").name == "board"


def test_installation_without_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_PACKAGE", tmp_path / "edgekit")
    with pytest.raises(tables.RuntimeMissing, match="targets/ is missing"):
        targets()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ('CACHE_DIR = "/tmp/x"', "options.CACHE_DIR: is not an option of OpenVINO"),
        ('MODEL_PTR = "1"', "options.MODEL_PTR: is not an option of OpenVINO"),
        ('"" = ""', "options.: is not an option"),
        ('INFERENCE_PRECISION_HINT = "f64"', "options.INFERENCE_PRECISION_HINT: 'f64' is not a"),
        ('INFERENCE_PRECISION_HINT = ""', "options.INFERENCE_PRECISION_HINT: '' is not a value"),
    ],
)
def test_options_that_the_runtime_is_not_given(board: Path, option: str, words: str) -> None:
    board.write_text(f"{PROFILE}[options]\n{option}\n")
    with pytest.raises(BadInput, match=words):
        target("board")


def test_every_runtimes_own_defaults_are_options_that_it_takes() -> None:
    for row in RUNTIMES.values():
        assert not [*refused_options(row.name, row.options)]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's profile, outside the targets folder."""
    path = tmp_path / "board.toml"
    path.write_text(PROFILE)
    return path


def test_a_users_file_is_a_target(own: Path) -> None:
    assert target_or_file(str(own)).name == "board"
    assert target_or_file("x86-fp32") == target("x86-fp32")
    assert target_or_file(str(ROOT / "targets" / "x86-fp32.toml")) == target("x86-fp32")


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("none.toml", None, "none.toml: No such file"),
        ("a folder.toml", "", "a folder.toml: Is a directory"),
        ("board.toml", "name = [", "board.toml: "),
        ("board.toml", "\xff", "not UTF-8"),
        ("board.toml", PROFILE.replace("openvino", "tvm"), "runtime: 'tvm' is none of"),
        ("board.toml", PROFILE + "colour = 1", "colour"),
        ("other.toml", PROFILE, "name: is 'board', but the file is named 'other'"),
        ("x86-int8.toml", PROFILE.replace("board", "x86-int8"), "has the name of one of edgekit's"),
        ("\0.toml", None, "null"),
    ],
)
def test_a_users_file_that_cannot_be_used(
    tmp_path: Path, file: str, text: str | None, told: str
) -> None:
    path = tmp_path / file
    if text:
        path.write_bytes(text.encode("latin-1"))
    elif text == "":
        path.mkdir()
    with pytest.raises(BadInput, match=told) as caught:
        target_or_file(str(path))
    assert caught.value.next_step
