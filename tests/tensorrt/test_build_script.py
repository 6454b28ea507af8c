"""build.sh, run with a trtexec that writes down what it was asked for."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import onnx
import pytest

from edgekit import catalog
from edgekit.errors import BadInput
from edgekit.lowering import write_bundle_files
from edgekit.records import Artifact, EngineRecord, Role, Target, TensorSpec
from edgekit.store import digest_file, record_from_json, sha256_of

TRTEXEC = """#!/usr/bin/env python3
import json, os, sys
print("&&&& RUNNING TensorRT.trtexec [TensorRT v" + os.environ["VERSION"] + "] # trtexec")
if "--help" not in sys.argv:
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\\n")
    if os.environ.get("FAILS"):
        sys.exit("Error[9]: no implementation for ForeignNode")
    (made,) = [a.partition("=")[2] for a in sys.argv if a.startswith("--saveEngine=")]
    open(made, "wb").write(b"an engine")
"""

# Stands for JetPack's: what the standalone builder sees when it imports `tensorrt`.
NO_BINDINGS = 'raise ImportError("this device has no Python bindings of TensorRT")\n'


def _graph(kind: str) -> onnx.ModelProto:
    """One island of float32 in a float16 graph, or none."""
    island = "e = Exp (w)" if kind == "island" else "e = Cast <to = 1> (h)"
    model = onnx.parser.parse_model(f"""
        <ir_version: 7, opset_import: ["" : 13]>
        g (float[prompts, points, 2] x) => (float[prompts, points, 2] y) {{
            h = Cast <to = 10> (x)  r = Relu (h)  w = Cast <to = 1> (r)
            {island}  n = Cast <to = 10> (e)  s = Sqrt (n)  y = Cast <to = 1> (s)
        }}""")
    for node in model.graph.node:
        node.name = f"node_{node.output[0]}"
    return model


def _artifact(folder: Path, role: Role, *, inputs: tuple[TensorSpec, ...], kind: str) -> Artifact:
    onnx.save(_graph(kind), folder / f"{role}.onnx")
    return Artifact(
        role=role,
        format="onnx",
        entry=f"{role}.onnx",
        files=(),
        inputs=inputs,
        outputs=(),
        ops={},
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder whose name no shell would take unquoted."""
    folder = tmp_path / "it's a $(bundle)"
    folder.mkdir()
    return folder


def _write(folder: Path, target: Target, *, decoder: str = "plain") -> None:
    image = TensorSpec(name="image", dtype="float32", shape=(1, 3, 64, 64))
    embeddings = TensorSpec(name="image_embeddings", dtype="float32", shape=(1, 4, 4, 4))
    coords = TensorSpec(name="point_coords", dtype="float32", shape=("prompts", "points", 2))
    masks = TensorSpec(name="mask_input", dtype="float32", shape=("prompts", 1, 16, 16))
    parts = (
        _artifact(folder, Role.ENCODER, inputs=(image,), kind="plain"),
        _artifact(folder, Role.DECODER, inputs=(embeddings, coords, masks), kind=decoder),
    )
    write_bundle_files(parts, target, folder)
    listed = [{"role": part.role, "entry": part.entry, "engine": None} for part in parts]
    (folder / "manifest.json").write_text(json.dumps({"title": "Å", "artifacts": listed}))


def _build(
    folder: Path, version: str, *, driver: Path | None = None, **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run build.sh from elsewhere; what it said and the calls of trtexec."""
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "trtexec").write_text(TRTEXEC)
    (tools / "trtexec").chmod(0o755)
    (tools / "tensorrt.py").write_text(NO_BINDINGS)
    calls = folder.parent / "calls"
    calls.write_text("")
    done = subprocess.run(
        ["bash", folder / "build.sh"],
        cwd=folder.parent,
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(tools),
            "VERSION": version,
            "CALLS": str(calls),
            **({"LD_LIBRARY_PATH": str(driver.parent)} if driver else {}),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done, [json.loads(line) for line in calls.read_text().splitlines()]


PROFILE_16 = [
    "--minShapes=point_coords:1x1x2,mask_input:1x1x16x16",
    "--optShapes=point_coords:1x2x2,mask_input:1x1x16x16",
    "--maxShapes=point_coords:16x16x2,mask_input:16x1x16x16",
]


@pytest.mark.parametrize("version", ["100300", "101601", "110400"])
def test_strongly_typed_engines_on_10_and_11(
    bundle: Path, driver_library: Path, version: str
) -> None:
    _write(bundle, catalog.target("jetson-fp16"), decoder="island")
    done, calls = _build(bundle, version, driver=driver_library)
    assert done.returncode == 0, done.stderr
    shared = ["--stronglyTyped", "--memPoolSize=workspace:1024", "--timingCacheFile=timing.cache"]
    assert calls == [
        ["--onnx=encoder.onnx", "--saveEngine=encoder.engine.part", *shared, "--skipInference"],
        [
            "--onnx=decoder.onnx",
            "--saveEngine=decoder.engine.part",
            *shared,
            *PROFILE_16,
            "--skipInference",
        ],
    ]
    assert (bundle / "decoder.engine").read_bytes() == b"an engine"
    assert not list(bundle.glob("*.part"))


def test_the_engines_provenance_goes_into_the_manifest(bundle: Path, driver_library: Path) -> None:
    _write(bundle, catalog.target("jetson-fp16"))
    _build(bundle, "100300", driver=driver_library)
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["title"] == "Å"
    for artifact in manifest["artifacts"]:
        engine = record_from_json(EngineRecord, json.dumps(artifact["engine"]).encode())
        assert engine == EngineRecord(
            file=digest_file(bundle / f"{artifact['role']}.engine", bundle),
            source_sha256=sha256_of(bundle / artifact["entry"]),
            tensorrt="10.3.0",
            gpu="Orin",
            compute_capability="8.7",
            driver="CUDA 12.6",
        )


def test_a_part_without_islands_on_8_2(bundle: Path, driver_library: Path) -> None:
    _write(bundle, catalog.target("jetson-nano-fp16"))
    done, calls = _build(bundle, "8201", driver=driver_library)
    assert done.returncode == 0, done.stderr
    assert calls[1] == [
        "--onnx=decoder.onnx",
        "--saveEngine=decoder.engine.part",
        "--fp16",
        "--precisionConstraints=obey",
        "--workspace=512",
        "--timingCacheFile=timing.cache",
        "--minShapes=point_coords:1x1x2,mask_input:1x1x16x16",
        "--optShapes=point_coords:1x2x2,mask_input:1x1x16x16",
        "--maxShapes=point_coords:4x8x2,mask_input:4x1x16x16",
        "--buildOnly",
    ]


def test_islands_on_8_2_go_through_the_bindings(bundle: Path, driver_library: Path) -> None:
    """trtexec 8.2 has no --layerPrecisions; without the bindings the build must fail, not guess."""
    _write(bundle, catalog.target("jetson-nano-fp16"), decoder="island")
    listed = (bundle / "decoder.fp32-nodes.txt").read_text().split()
    assert listed == ["node_e"], "casts are obeyed anyhow"
    done, calls = _build(bundle, "8201", driver=driver_library)
    assert [call[0] for call in calls] == ["--onnx=encoder.onnx"]
    assert done.returncode != 0
    assert "no Python bindings of TensorRT" in done.stderr
    assert "Traceback" not in done.stderr


def test_islands_need_no_list_where_types_are_obeyed(bundle: Path) -> None:
    _write(bundle, catalog.target("jetson-fp16"), decoder="island")
    assert not list(bundle.glob("*.txt"))


@pytest.mark.parametrize(
    ("target", "version", "said"),
    [
        ("jetson-fp16", "8201", "TensorRT 8.2.1 is here; this bundle is for >=10.3,<12"),
        ("jetson-fp16", "100200", "TensorRT 10.2.0 is here"),
        ("jetson-fp16", "120000", "TensorRT 12.0.0 is here"),
        ("jetson-nano-fp16", "8400", "TensorRT 8.4.0 is here; this bundle is for >=8.2,<8.3"),
        ("jetson-fp16", "ersion", "does not tell its version"),
    ],
)
def test_another_version_is_refused_before_building(
    bundle: Path, target: str, version: str, said: str
) -> None:
    _write(bundle, catalog.target(target))
    done, calls = _build(bundle, version)
    assert (done.returncode, calls) == (3, [])
    assert said in done.stderr


def test_a_failed_build_leaves_no_engine(bundle: Path) -> None:
    _write(bundle, catalog.target("jetson-fp16"))
    done, calls = _build(bundle, "100300", FAILS="1")
    assert done.returncode != 0
    assert len(calls) == 1, "it goes on after a failure"
    assert not list(bundle.glob("*.engine*"))
    assert "ForeignNode" in (bundle / "encoder.build.log").read_text()


def test_without_trtexec_it_says_so(bundle: Path) -> None:
    _write(bundle, catalog.target("jetson-fp16"))
    done, _ = _build(bundle, "100300", TRTEXEC="/nowhere/trtexec")
    assert done.returncode == 3
    assert "set TRTEXEC=" in done.stderr


@pytest.mark.parametrize("name", ["jetson-nano-fp16", "jetson-fp16", "rtx3090-fp16"])
def test_the_script_of_every_target_is_sound(bundle: Path, name: str) -> None:
    _write(bundle, catalog.target(name), decoder="island")
    subprocess.run(["bash", "-n", bundle / "build.sh"], check=True)
    assert os.access(bundle / "build.sh", os.X_OK)


def test_a_profiles_own_words_do_not_become_commands(bundle: Path, driver_library: Path) -> None:
    target = catalog.target("jetson-fp16")
    evil = dataclasses.replace(target, device="a\ntouch ../owned\n$(touch ../owned) {x}")
    _write(bundle, evil)
    done, _ = _build(bundle, "100300", driver=driver_library)
    assert done.returncode == 0, done.stderr
    assert not (bundle.parent / "owned").exists()


@pytest.mark.parametrize("text", ["", "1 2", "2 1 3", "0 1 2", "1 2 x", "1 2 3 4", "1;2;3"])
def test_an_option_that_is_no_profile_is_refused(bundle: Path, text: str) -> None:
    target = catalog.target("jetson-fp16")
    wrong = dataclasses.replace(target, options={**target.options, "prompts": text})
    with pytest.raises(BadInput, match=r"options\.prompts") as caught:
        _write(bundle, wrong)
    assert caught.value.next_step == "set it in jetson-fp16.toml"
