"""The Predictor over stand-in sessions: its inputs, outputs, state and errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import BadInput
from edgekit.records import ClientContract, Feeds, FloatArray, MaskChoice, Rgb
from edgekit.runtime import Prompt
from edgekit.runtime import decoding as module


@pytest.fixture
def setup(photo: Rgb, make_setup: Any) -> Any:
    """With a photo of 40 x 30 pixels set. The frame is 1024 / 40 = 25.6 times as large."""
    setup = make_setup()
    setup.predictor.set_image(photo)
    return setup


def boxes(count: int) -> list[Prompt]:
    return [Prompt.checked(box=[1 + 0.5 * i, 2, 39, 29]) for i in range(count)]


def test_single_mask(setup: Any) -> None:
    prediction = setup.predictor.predict([[20, 15]], [1])
    masks, scores, low_res = prediction
    assert (masks.shape, masks.dtype) == ((1, 30, 40), np.bool_)
    assert (scores.dtype, scores.tolist()) == (np.float32, [512.0])
    assert (low_res.shape, low_res.dtype) == ((1, 256, 256), np.float32)
    # The stand-in's mask 0 ends at the prompt's x.
    assert masks[0, :, :20].all()
    assert not masks[0, :, 21:].any()


def test_multimask_takes_the_familys_indices(setup: Any) -> None:
    prediction = setup.predictor.predict([[20, 15]], [1], multimask=True)
    assert prediction.masks.shape == (3, 30, 40)
    assert prediction.scores.tolist() == [513.0, 514.0, 515.0]
    widths = prediction.masks[:, 0].sum(axis=1)
    assert (np.diff(widths) > 0).all()


def test_the_family_says_which_masks(photo: Rgb, sam: ClientContract, make_setup: Any) -> None:
    single, multimask = MaskChoice(masks=(2,)), MaskChoice(masks=(3, 0))
    masks = replace(sam.masks, single=single, multimask=multimask)
    setup = make_setup(replace(sam, masks=masks))
    setup.predictor.set_image(photo)
    assert setup.predictor.predict([[20, 15]], [1]).scores.tolist() == [514.0]
    assert setup.predictor.predict([[20, 15]], [1], multimask=True).scores.tolist() == [515, 512]


def test_a_family_may_have_masks_of_its_own(
    photo: Rgb, sam: ClientContract, make_setup: Any
) -> None:
    every = MaskChoice(name="every", masks=(0, 1, 2, 3))
    setup = make_setup(replace(sam, masks=replace(sam.masks, others=(every,))))
    setup.predictor.set_image(photo)
    assert len(setup.predictor.predict([[20, 15]], [1], multimask="every").scores) == 4
    with pytest.raises(BadInput, match=r"(?s)no set of masks named 'all'.*'every'"):
        setup.predictor.predict([[20, 15]], [1], multimask="all")


def test_returned_logits_are_clamped_after_the_masks(
    photo: Rgb, sam: ClientContract, make_setup: Any
) -> None:
    clamped = make_setup(replace(sam, masks=replace(sam.masks, clamp=32.0)))
    free = make_setup(sam)
    for setup in (clamped, free):
        setup.predictor.set_image(photo)
    limited, whole = (b.predictor.predict([[20, 15]], [1]) for b in (clamped, free))
    assert np.array_equal(limited.low_res_logits, np.clip(whole.low_res_logits, -32, 32))
    assert np.array_equal(limited.masks, whole.masks)


def test_a_prompt_the_family_does_not_take(
    photo: Rgb, sam: ClientContract, make_setup: Any
) -> None:
    setup = make_setup(replace(sam, prompts=replace(sam.prompts, refuses=("background_point",))))
    setup.predictor.set_image(photo)
    with pytest.raises(BadInput, match="does not take background points"):
        setup.predictor.predict([[20, 15]], [0])


def test_low_res_logits_refine_the_next_prompt(setup: Any) -> None:
    first = setup.predictor.predict([[20, 15]], [1])
    setup.predictor.predict([[20, 15]], [1], mask=first.low_res_logits)
    feeds = setup.decoder.calls[-1]
    assert feeds["has_mask_input"].tolist() == [1]
    assert np.array_equal(feeds["mask_input"][0], first.low_res_logits)


def test_prompts_with_masks_are_decoded_alone(setup: Any) -> None:
    mask = np.ones((256, 256), np.float32)
    plain, masked = Prompt.checked(box=[1, 2, 20, 15]), Prompt.checked(box=[1, 2, 9, 8], mask=mask)
    setup.predictor.predict_many([plain, plain, masked, masked, plain])
    calls = setup.decoder.calls[-3:]
    assert [len(feeds["point_coords"]) for feeds in calls] == [3, 1, 1]
    assert [feeds["has_mask_input"].tolist() for feeds in calls] == [[0], [1], [1]]


def test_the_photo_is_encoded_once(setup: Any) -> None:
    for _ in range(3):
        setup.predictor.predict([[20, 15]], [1])
    assert len(setup.encoder.calls) == 1
    embeddings = [feeds["image_embeddings"] for feeds in setup.decoder.calls]
    assert all(embedding is embeddings[0] for embedding in embeddings)


def test_many_equal_one_by_one(setup: Any) -> None:
    prompts = boxes(2 * module.CHUNK + 3)
    together = setup.predictor.predict_many(prompts, multimask=True)
    assert len(together) == len(prompts)
    for prompt, prediction in zip(prompts, together, strict=True):
        alone = setup.predictor.predict(box=prompt.box, multimask=True)
        for ours, expected in zip(prediction, alone, strict=True):
            assert np.array_equal(ours, expected)


def test_many_are_decoded_in_chunks(setup: Any) -> None:
    setup.predictor.predict_many(boxes(2 * module.CHUNK + 3))
    sizes = [len(feeds["point_labels"]) for feeds in setup.decoder.calls]
    assert sizes == [module.CHUNK, module.CHUNK, 3]


def test_many_is_a_sequence(setup: Any) -> None:
    many = setup.predictor.predict_many(boxes(5))
    assert [p.scores[0] for p in many[1:3]] == [many[1].scores[0], many[2].scores[0]]
    assert many[-1].scores[0] == many[4].scores[0]
    with pytest.raises(IndexError):
        many[5]


def test_many_of_none(setup: Any) -> None:
    assert list(setup.predictor.predict_many([])) == []
    assert not setup.decoder.calls


def test_masks_of_many_are_made_when_taken(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FloatArray] = []

    def spy(low_res: FloatArray, *_: Any) -> Any:
        made.append(low_res)
        return np.zeros((1, 30, 40), dtype=np.bool_)

    monkeypatch.setattr(module, "masks_from_logits", spy)
    many = setup.predictor.predict_many(boxes(5))
    assert not made
    _ = many[3]
    assert len(made) == 1


def test_what_is_returned_keeps_only_the_masks_asked_for(setup: Any) -> None:
    prediction = setup.predictor.predict([[20, 15]], [1])
    base = prediction.low_res_logits.base
    assert base is None or base.nbytes <= prediction.low_res_logits.nbytes


def test_fixed_slots_decode_one_by_one(photo: Rgb, make_setup: Any) -> None:
    setup = make_setup(slots=(4,))
    setup.predictor.set_image(photo)
    setup.predictor.predict_many(boxes(3))
    shapes = [feeds["point_labels"].shape for feeds in setup.decoder.calls]
    assert shapes == [(1, 4)] * 3


BOX = Prompt.checked(box=[1, 2, 20, 15])
POINT = Prompt.checked(points=[[20, 15]], labels=[1])  # and a padding point
THREE = Prompt.checked(points=[[5, 5]], labels=[1], box=[1, 2, 20, 15])
MASKED = Prompt.checked(box=[1, 2, 9, 8], mask=np.ones((256, 256), np.float32))


@pytest.mark.parametrize(
    ("prompts", "shapes"),
    [
        ([BOX] * 4, [(4, 2)]),
        ([BOX, POINT] * 4, [(4, 2)] * 2),
        ([BOX] * 5, [(4, 2), (1, 4)]),
        ([BOX] * 6, [(4, 2)] * 2),  # half a batch is filled up
        ([BOX], [(1, 4)]),
        ([THREE] * 4, [(1, 4)] * 4),
        ([BOX] * 2 + [THREE] + [BOX] * 2, [(4, 2), (1, 4)]),  # in any order
        ([BOX] * 2 + [MASKED] * 2, [(4, 2), (1, 4), (1, 4)]),
    ],
)
def test_short_prompts_are_decoded_in_fixed_batches(
    photo: Rgb, make_setup: Any, prompts: list[Prompt], shapes: list[tuple[int, int]]
) -> None:
    setup = make_setup(slots=(4,), batches=((4, 2),))
    setup.predictor.set_image(photo)
    predictions = setup.predictor.predict_many(prompts, multimask=True)
    assert [feeds["point_labels"].shape for feeds in setup.decoder.calls] == shapes
    assert len(predictions) == len(prompts)


def test_fixed_batches_give_each_prompt_its_own_result(photo: Rgb, make_setup: Any) -> None:
    setup, plain = make_setup(slots=(4,), batches=((4, 3), (4, 2))), make_setup()
    prompts = [*boxes(13), THREE, *boxes(7)]
    results = []
    for each in (setup, plain):
        each.predictor.set_image(photo)
        results.append(each.predictor.predict_many(prompts))
    for ours, expected in zip(*results, strict=True):
        assert np.array_equal(ours.low_res_logits, expected.low_res_logits)
        assert np.array_equal(ours.scores, expected.scores)


def test_each_prompt_goes_to_the_fewest_slots_that_hold_it(photo: Rgb, make_setup: Any) -> None:
    setup = make_setup(slots=(2, 5))
    setup.predictor.set_image(photo)
    for count in (1, 2, 4):  # and a padding point each
        setup.predictor.predict([[1, 1]] * count, [1] * count)
    assert [feeds["point_labels"].shape[1] for feeds in setup.decoder.calls] == [2, 5, 5]


def test_more_points_than_slots(photo: Rgb, make_setup: Any) -> None:
    setup = make_setup(slots=(2, 3))
    setup.predictor.set_image(photo)
    with pytest.raises(BadInput, match=r"needs 4 slots(?s:.)*at most 3"):
        setup.predictor.predict([[1, 1]] * 3, [1] * 3)


def test_predict_before_set_image(make_setup: Any) -> None:
    predictor = make_setup().predictor
    with pytest.raises(BadInput, match="No photo is set"):
        predictor.predict([[1, 1]], [1])
    with pytest.raises(BadInput, match="No photo is set"):
        predictor.predict_many(boxes(1))
    with pytest.raises(BadInput, match="No photo is set"):
        _ = predictor.photo_size


def test_prompts_belong_to_the_photo(setup: Any) -> None:
    """Checked against the photo at hand, whenever the prompt was made, before any decoding."""
    with pytest.raises(BadInput, match="outside the photo"):
        setup.predictor.predict([[41, 1]], [1])
    with pytest.raises(BadInput, match="outside the photo"):
        setup.predictor.predict_many([*boxes(9), Prompt.checked(box=[30, 0, 60, 9])])
    assert not setup.decoder.calls


def test_an_unreadable_photo_leaves_none_set(setup: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        setup.predictor.set_image(tmp_path / "missing.jpg")
    with pytest.raises(BadInput, match="No photo is set"):
        setup.predictor.predict([[1, 1]], [1])


def test_a_failing_encoder_leaves_no_photo_set(setup: Any, photo: Rgb) -> None:
    def fail(feeds: Feeds) -> dict[str, FloatArray]:
        raise MemoryError

    setup.encoder.answer = fail
    with pytest.raises(MemoryError):
        setup.predictor.set_image(photo)
    with pytest.raises(BadInput, match="No photo is set"):
        setup.predictor.predict([[1, 1]], [1])


def test_the_next_photo_replaces_the_first(setup: Any, photo: Rgb) -> None:
    setup.predictor.set_image(np.ascontiguousarray(photo[:20, :25]) // 2)
    assert setup.predictor.photo_size == (20, 25)
    assert setup.predictor.predict(box=[1, 1, 25, 20]).masks.shape == (1, 20, 25)
    first, second = (setup.encoder.answer(call) for call in setup.encoder.calls)
    assert first != second
    assert setup.decoder.calls[-1]["image_embeddings"] == second["image_embeddings"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"point_coords": [[1, 1]]}, "point_coords= is points= here"),
        ({"point_labels": [1]}, "point_labels= is labels= here"),
        ({"mask_input": None}, "mask_input= is mask= here"),
        ({"multimask_output": True}, "multimask_output= is multimask= here"),
        ({"boxes": [[1, 1, 2, 2]]}, "predict_many"),
        ({"return_logits": True}, "low_res_logits"),
        ({"multimasks": True}, "unexpected keyword arguments: 'multimasks'$"),
        ({"point_coords": 0, "point_labels": 0}, "points= here.*labels= here"),
    ],
)
def test_sams_keywords_are_told_the_call(
    make_setup: Any, photo: Rgb, given: dict[str, Any], told: str
) -> None:
    predictor = make_setup().predictor
    predictor.set_image(photo)
    with pytest.raises(TypeError, match=told):
        predictor.predict(**given)


def test_sams_image_format_is_told_the_call(make_setup: Any, photo: Rgb) -> None:
    with pytest.raises(TypeError, match=r"from BGR: photo\[\.\.\., ::-1\]"):
        make_setup().predictor.set_image(photo, image_format="BGR")  # type: ignore[arg-type]


def test_boxes_of_a_detector_are_clipped(make_setup: Any, photo: Rgb) -> None:
    predictor = make_setup().predictor
    predictor.set_image(photo)
    prompts = [Prompt.checked(box=box) for box in ([-0.4, 2, 30, 30.7], [0, 2, 30, 30])]
    beyond, within = predictor.predict_many(prompts)
    assert np.array_equal(beyond.low_res_logits, within.low_res_logits)
