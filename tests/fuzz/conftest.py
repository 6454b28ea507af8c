"""A tiny bundle that ONNX Runtime really runs, and its photos and annotations."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from edgekit.catalog import runs_from_mask, target
from edgekit.catalog.runtimes import runtime_row
from edgekit.lowering import lowering, obstacle
from edgekit.models.registry import model
from edgekit.pack import make_manifest
from edgekit.records import (
    ClientContract,
    Graph,
    OnnxGraph,
    Role,
    SavedProgram,
    Target,
    TensorSpec,
    WeightsSource,
)
from edgekit.store import digest_file, sha256_of, write_manifest

FRAME, SIDE = 64, 16

ENCODER = f"""
<ir_version: 10, opset_import: ["" : 20]>
encoder (float[1, 3, {FRAME}, {FRAME}] image) => (float[1, 1, 1, 1] image_embeddings)
<int64[3] axes = {{1, 2, 3}}> {{ image_embeddings = ReduceMean (image, axes) }}"""

DECODER = f"""
<ir_version: 10, opset_import: ["" : 20]>
decoder (float[1, 1, 1, 1] image_embeddings, float[prompts, points, 2] point_coords,
         float[prompts, points] point_labels, float[prompts, 1, {SIDE}, {SIDE}] mask_input,
         float[prompts] has_mask_input)
    => (float[prompts, 4, {SIDE}, {SIDE}] low_res_masks, float[prompts, 4] iou_predictions)
<int64[1] one = {{1}}, int64[2] two = {{1, 2}}, int64[4] batch = {{-1, 1, 1, 1}},
 int64[4] shape = {{1, 4, {SIDE}, {SIDE}}}, int64[2] flat = {{-1, 1}}, int64[2] four = {{1, 4}}> {{
    x = ReduceMean (point_coords, two)
    labels = ReduceMean (point_labels, one)
    sum = Add (x, labels)
    given = Reshape (has_mask_input, batch)
    masked = Mul (mask_input, given)
    column = Reshape (x, batch)
    tall = Add (masked, column)
    moved = Add (tall, image_embeddings)
    low_res_masks = Expand (moved, shape)
    row = Reshape (has_mask_input, flat)
    iou_predictions = Expand (row, four)
}}"""


def _tensors(graph: onnx.GraphProto, way: str) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=value.name,
            dtype="float32",
            shape=tuple(
                size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim
            ),
        )
        for value in getattr(graph, way)
    )


def _graph(folder: Path, role: Role, text: str) -> OnnxGraph:
    proto = onnx.parser.parse_model(text)
    onnx.checker.check_model(proto)
    path = folder / f"{role}.onnx"
    onnx.save(proto, path)
    return OnnxGraph(
        role=role,
        path=path,
        sha256=sha256_of(path),
        inputs=_tensors(proto.graph, "input"),
        outputs=_tensors(proto.graph, "output"),
        ops={"Add": 1},
        opset=20,
    )


def _program(folder: Path, role: Role, slots: int, prompts: int = 1) -> SavedProgram:
    """The same functions as torch programs of fixed sizes."""
    import torch

    class Encoder(torch.nn.Module):
        def forward(self, image):
            return image.mean((1, 2, 3), keepdim=True)

    class Decoder(torch.nn.Module):
        def forward(self, image_embeddings, point_coords, point_labels, mask_input, has_mask_input):
            column = point_coords.mean((1, 2)) + point_labels.mean(1)
            masks = mask_input * has_mask_input.reshape(-1, 1, 1, 1)
            masks = masks + column.reshape(-1, 1, 1, 1) + image_embeddings
            scores = has_mask_input.reshape(-1, 1) + torch.arange(4.0)
            return masks * torch.arange(1.0, 5.0).reshape(1, 4, 1, 1), scores

    fixed = {"prompts": prompts, "points": slots}
    graph = onnx.parser.parse_model(ENCODER if role is Role.ENCODER else DECODER).graph
    takes, gives = (
        tuple(
            replace(spec, shape=tuple(fixed.get(size, size) for size in spec.shape))
            for spec in _tensors(graph, way)
        )
        for way in ("input", "output")
    )
    module = Encoder() if role is Role.ENCODER else Decoder()
    feeds = tuple(torch.zeros(spec.shape) for spec in takes)
    name = f"{role}_{prompts}x{slots}" if slots else role  # one file for each decoder
    path = folder / f"{name}.pt2"
    torch.export.save(torch.export.export(module, feeds, strict=False), path)
    return SavedProgram(
        role=role, path=path, sha256=sha256_of(path), inputs=takes, outputs=gives, ops={"add": 1}
    )


def _client() -> ClientContract:
    client = model("nanosam").client
    assert isinstance(client, ClientContract)
    return replace(
        client,
        preprocessing=replace(client.preprocessing, frame=FRAME),
        prompts=replace(client.prompts, frame=FRAME),
        masks=replace(client.masks, side=SIDE),
    )


@pytest.fixture
def made_for(tmp_path: Path) -> Callable[[str], Path]:
    """`made_for(target)`: `bundle/` of two graphs of a few operators, with one golden file."""

    def make(name: str) -> Path:
        profile = target(name)
        if missing := obstacle(profile):
            pytest.skip(missing)
        graphs, folder = tmp_path / "graphs", tmp_path / "bundle"
        graphs.mkdir()
        (folder / "golden").mkdir(parents=True)
        golden = folder / "golden" / "prompts.json"
        golden.write_text('{"prompts": {"box": {"box": [1, 2, 3, 4]}}}')
        manifest = make_manifest(
            model("nanosam"),
            profile,
            WeightsSource(kind="seeded", licence="none", seed=0),
            artifacts=tuple(
                lowering(profile).lower(graph, profile, folder)
                for graph in _graphs(profile, graphs)
            ),
            golden=(digest_file(golden, folder),),
        )
        write_manifest(folder, replace(manifest, client=_client()))
        return folder

    return make


def _graphs(profile: Target, folder: Path) -> Iterator[Graph]:
    if runtime_row(profile.runtime).takes == "onnx":
        yield _graph(folder, Role.ENCODER, ENCODER)
        yield _graph(folder, Role.DECODER, DECODER)
        return
    yield _program(folder, Role.ENCODER, 0)
    for prompts, slots in profile.prompt_shapes:
        yield _program(folder, Role.DECODER, slots, prompts)


@pytest.fixture
def tiny(made_for: Callable[[str], Path]) -> Path:
    """The bundle for ONNX Runtime."""
    return made_for("x86-ort-fp32")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 96 x 64 pixels."""
    (tmp_path / "photo.png").write_bytes(encoded("PNG"))
    return tmp_path / "photo.png"


def encoded(form: str) -> bytes:
    """A small photo in a format; a HEIC is the first bytes of one, which is all that is read."""
    if form == "HEIC":
        return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    ramp = np.arange(64 * 96, dtype=np.uint32).reshape(64, 96)
    rgb = np.stack([ramp % 251, ramp % 7 * 30, ramp // 30 % 256], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    if form == "TIFF16":
        Image.fromarray(ramp.astype(np.uint16)).save(file, "TIFF", compression="tiff_lzw")
    elif form == "JPEG":
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(rgb).save(file, form, exif=exif)
    else:
        Image.fromarray(rgb).save(file, form)
    return file.getvalue()


def annotations(photo: Path) -> bytes:
    """COCO with polygons, run lengths as numbers and as text, and a box alone."""
    common = {"image_id": 1, "category_id": 1, "iscrowd": 0}
    box = [10.0, 5.0, 60.0, 50.0]
    mask = np.zeros((64, 96), bool)
    mask[5:55, 10:70] = True
    square = [10, 5, 70, 5, 70, 55, 10, 55]
    masks = [
        [square],
        {"size": [64, 96], "counts": [640, 2624, 2880]},
        asdict(runs_from_mask(mask)),
        None,
    ]
    return json.dumps(
        {
            "info": {"annotations_licence": "CC BY"},
            "licenses": [{"id": 1, "name": "by", "url": "http://by"}],
            "images": [{"id": 1, "file_name": photo.name, "width": 96, "height": 64, "license": 1}],
            "annotations": [
                {"id": i, **common, "bbox": box, "area": 3000.0, "segmentation": mask}
                for i, mask in enumerate(masks)
            ],
            "categories": [{"id": 1, "name": "thing"}],
        }
    ).encode()
