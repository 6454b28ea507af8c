from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit.catalog import PhotoSet
from edgekit.errors import BadInput
from edgekit.precision.measure import ranges
from edgekit.precision.measure.ranges import read_calibration, write_calibration
from edgekit.records import Role
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from edgekit.verification.prompts import PromptKind


def test_ranges_are_those_of_the_values(tiny, photos, calibration) -> None:
    model = tiny()
    values = []
    with torch.inference_mode():
        for photo in photos.photos:
            image = encoder_input(load_photo(photo.path), model.client.preprocessing)
            values.append(model.encoder.exported.module()(torch.from_numpy(image)).numpy())
    outputs = np.stack(values)
    found = calibration.encoder.by_name["conv2d_2"]
    assert found.low == pytest.approx(outputs.min(), rel=1e-5)
    assert found.high == pytest.approx(outputs.max(), rel=1e-5)
    assert found.mean == pytest.approx(outputs.mean(), abs=1e-3)
    assert found.std == pytest.approx(outputs.std(), rel=1e-3)


def test_every_node_that_computes_and_every_input_has_a_range(tiny, calibration) -> None:
    assert set(calibration.encoder.by_name) == {
        "image", "conv2d", "relu", "conv2d_1", "layer_norm", "conv2d_2",
    }  # fmt: skip
    inputs = {spec.name for spec in tiny().decoder.inputs}
    assert inputs <= set(calibration.decoder.by_name)


def test_a_moved_tensor_has_the_range_of_its_maker(tiny, calibration) -> None:
    graph = tiny().encoder.exported.graph
    moved = next(node for node in graph.nodes if "permute" in node.name)
    assert calibration.encoder.of(moved) is calibration.encoder.by_name["conv2d_1"]


def test_the_decoder_saw_prompts_of_every_kind(photos, calibration) -> None:
    count = len(photos.photos)
    kinds = len(PromptKind)
    assert (kinds - 1) * count <= calibration.prompts <= kinds * count, "not all have a negative"
    seen = calibration.decoder.by_name
    assert seen["point_labels"].low == 0
    assert seen["point_labels"].high == 3
    assert seen["has_mask_input"].high == 1
    assert seen["mask_input"].abs_max > 0


def test_a_decoder_that_nothing_is_decided_on_is_not_run(tiny, photos) -> None:
    model = tiny()
    found = ranges.measure(model.encoder, photos=photos, client=model.client)
    assert (found.decoder, found.prompts) == (None, 0)


def test_the_usual_range_is_the_average_of_what_single_results_span() -> None:
    tally = ranges._Tally()
    for low, high in ((-1.0, 2.0), (-3.0, 8.0), (0.0, 2.0), (0.0, 0.0)):
        tally.add(torch.tensor([low, 0.0, high]), low, high)
    found = tally.range()
    assert (found.low, found.high) == (-3.0, 8.0)
    assert (found.usual_low, found.usual_high) == (-1.0, 3.0)


def test_more_photos_of_the_same_change_nothing(tiny, photos, calibration) -> None:
    more = tiny().calibrated(replace(photos, photos=photos.photos * 2))
    for name, found in more.encoder.by_name.items():
        once = calibration.encoder.by_name[name]
        assert found.std == pytest.approx(once.std, rel=1e-6)
        assert (found.usual_low, found.usual_high) == (once.low, once.high)


def test_what_is_written_is_read(calibration, tmp_path) -> None:
    write_calibration(tmp_path, calibration)
    again = read_calibration(tmp_path)
    assert again.prompts == calibration.prompts
    for role in Role:
        for name, found in calibration.ranges(role).by_name.items():
            assert again.ranges(role).by_name[name] == found


def test_no_photos_is_an_error_and_never_random_data(tiny) -> None:
    with pytest.raises(BadInput, match="never calibrates on random data"):
        tiny().calibrated(PhotoSet(name="empty", photos=()))


@pytest.mark.parametrize("scale", [float("nan"), 1e38])
def test_ranges_that_are_not_finite_name_the_node(tiny, photos, scale: float) -> None:
    with pytest.raises(BadInput) as caught:
        tiny(scale).calibrated(photos)
    assert re.fullmatch(
        r"The encoder's node \w+ \(in \w+\) gives NaN or infinity in float32\.", caught.value.what
    )
    assert "While executing" not in str(caught.value)
