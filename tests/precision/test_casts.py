"""The types in the lowered file are those of the plan."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from edgekit.precision.apply.casts import apply_casts
from edgekit.precision.decide.fp16 import plan_with_islands

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def operand_types(model: onnx.ModelProto, operator: str) -> list[set[int]]:
    types = types_of(model)
    nodes = [node for node in model.graph.node if node.op_type == operator]
    return [{types[name] for name in (*node.input, *node.output)} for node in nodes]


def test_without_islands_everything_between_the_borders_is_fp16(tiny, lowered) -> None:
    encoder = tiny().encoder
    model, _ = lowered(apply_casts(encoder, plan_with_islands(encoder, {})))
    assert operand_types(model, "Conv") == [{HALF}] * 3
    assert operand_types(model, "LayerNormalization") == [{HALF}]
    assert operand_types(model, "Cast") == [{FLOAT, HALF}] * 2
    assert {value.type.tensor_type.elem_type for value in model.graph.input} == {FLOAT}
    assert {value.type.tensor_type.elem_type for value in model.graph.output} == {FLOAT}


@pytest.mark.slow
@pytest.mark.parametrize("island", [0, 1, 2])
def test_an_island_is_fp32_and_the_rest_is_not(tiny, lowered, island: int) -> None:
    encoder = tiny().encoder
    names = ("conv2d", "conv2d_1", "conv2d_2")
    model, _ = lowered(apply_casts(encoder, plan_with_islands(encoder, {names[island]: "a test"})))
    expected = [{FLOAT} if index == island else {HALF} for index in range(3)]
    assert operand_types(model, "Conv") == expected
    assert operand_types(model, "LayerNormalization") == [{HALF}]


def test_no_cast_follows_a_cast(tiny, lowered) -> None:
    encoder = tiny().encoder
    model, _ = lowered(apply_casts(encoder, plan_with_islands(encoder, {"layer_norm": "x"})))
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert len(casts) == 4
    assert all(made_by.get(node.input[0]) != "Cast" for node in casts)


@pytest.mark.slow
def test_everything_in_fp32_has_no_cast(tiny, lowered) -> None:
    encoder = tiny().encoder
    islands = {line.node: "x" for line in plan_with_islands(encoder, {}).nodes}
    model, _ = lowered(apply_casts(encoder, plan_with_islands(encoder, islands)))
    assert not operand_types(model, "Cast")


def test_the_program_that_was_given_is_left_as_it_was(tiny) -> None:
    encoder = tiny().encoder
    before = str(encoder.exported.graph)
    apply_casts(encoder, plan_with_islands(encoder, {}))
    assert str(encoder.exported.graph) == before


@pytest.mark.slow
def test_the_decoder_stays_dynamic(tiny, lowered) -> None:
    decoder = tiny().decoder
    model, path = lowered(
        apply_casts(decoder, plan_with_islands(decoder, {"sin": "x", "cos": "x"}))
    )
    assert operand_types(model, "Sin") == [{FLOAT}]
    assert operand_types(model, "ConvTranspose") == [{HALF}]
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for prompts, points in (1, 1), (3, 2), (2, 7):
        random = np.random.default_rng(0)
        feeds = {
            "image_embeddings": random.standard_normal((1, 8, 64, 64), np.float32),
            "point_coords": 256 * random.random((prompts, points, 2), np.float32),
            "point_labels": np.ones((prompts, points), np.float32),
            "mask_input": np.zeros((1, 1, 256, 256), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
        }
        masks, scores = session.run(None, feeds)
        assert masks.shape == (prompts, 4, 256, 256)
        assert scores.dtype == np.float32
