"""The student on windows computes the same as the exported model, cropped to the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgekit.records import Label
from edgekit.train.data.batches import Batch, BatchSize, make_batch, normalise
from edgekit.train.data.correction import add_correction
from edgekit.train.data.scenes import SceneStyle
from edgekit.train.stages.student import Student

MIX = (0.25, 0.25, 0.25, 0.25)
CORNER = (96, 32)  # of the window in the frame, in pixels


def window_batch(size: int = 128, corner: tuple[int, int] = CORNER) -> Batch:
    """One window with a point, and a point with a box."""
    rng = np.random.default_rng(0)
    empty = float(Label.EMPTY)
    x, y = corner
    return Batch(
        rgb=torch.from_numpy(rng.integers(0, 255, (1, 3, size, size))).float(),
        valid=torch.ones(1, 1, size, size),
        corners=torch.tensor([corner]),
        coords=torch.tensor(
            [
                [[x + 40.0, y + 30.0], [0, 0], [0, 0]],
                [[x + 70.0, y + 9.0], [x + 5.0, y + 6.0], [x + 99.0, y + 80.0]],
            ]
        ),
        labels=torch.tensor([[1.0, empty, empty], [1.0, 2.0, 3.0]]),
        targets=torch.zeros(2, size // 4, size // 4),
        single=torch.tensor([1.0, 0.0]),
    )


@torch.no_grad()
def test_embeddings_of_a_window_equal_the_frames_at_that_place(small_student: Student) -> None:
    window = window_batch()
    x, y = CORNER
    frame = window_batch(256, (0, 0))
    frame.rgb[:, :, y : y + 128, x : x + 128] = window.rgb
    whole = small_student.embed(frame)
    assert whole.shape == (1, 256, 16, 16)
    expected = whole[:, :, y // 16 : y // 16 + 8, x // 16 : x // 16 + 8]
    torch.testing.assert_close(small_student.embed(window), expected, atol=1e-4, rtol=1e-4)
    beside = whole[:, :, :8, :8]
    assert (small_student.embed(window) - beside).abs().max() > 0.1


@torch.no_grad()
def test_a_window_is_decoded_with_its_own_positions(small_student: Student) -> None:
    batch = window_batch()
    embeddings = small_student.embed(batch)
    prompts = small_student.decoder.prompt_encoder
    rows, columns = torch.meshgrid(torch.arange(8) + 2, torch.arange(8) + 6, indexing="ij")
    x, y = ((place.reshape(1, 64, 1) + 0.5) / 16 for place in (columns, rows))
    positions = prompts.pe_layer(x, y)
    dense = prompts.no_mask_embed.weight.view(1, -1, 1, 1)
    expected = small_student.decoder.mask_decoder(
        (embeddings + dense).repeat(2, 1, 1, 1),
        positions,
        prompts.points(batch.coords, batch.labels),
        (batch.labels == Label.EMPTY).float(),
    )
    logits, iou = small_student.decode(embeddings, batch)
    assert logits.shape == (2, 4, 32, 32)
    torch.testing.assert_close(logits, expected[0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(iou, expected[1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("refined", [False, True])
@torch.no_grad()
def test_a_frame_is_decoded_as_by_the_exported_decoder(
    small_student: Student, refined: bool
) -> None:
    batch = window_batch(256, (0, 0))
    embeddings = small_student.embed(batch)
    previous = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    logits, iou = small_student.decode(embeddings, batch, previous if refined else None)
    expected = small_student.decoder(
        embeddings, batch.coords, batch.labels, previous, torch.full((2,), float(refined))
    )
    torch.testing.assert_close(logits, expected[0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(iou, expected[1], atol=1e-3, rtol=1e-3)


def test_batches_stack_prompts_window_by_window(photos) -> None:
    shape = BatchSize(size=128, windows=3, prompts=4)
    batch = make_batch(
        photos, np.random.default_rng(2), shape=shape, style=SceneStyle(pasted=1.0), mix=MIX
    )
    assert batch.rgb.shape == (3, 3, 128, 128)
    assert batch.targets.shape == (12, 32, 32)
    per_prompt = batch.corners.repeat_interleave(4, dim=0)
    inside = batch.coords - per_prompt.unsqueeze(1)
    for row, (places, labels) in enumerate(zip(inside, batch.labels, strict=True)):
        for (x, y), label in zip(places, labels, strict=True):
            if label == Label.FOREGROUND:
                assert batch.targets[row, int(y) // 4, int(x) // 4] > 0.5
    again = make_batch(
        photos, np.random.default_rng(2), shape=shape, style=SceneStyle(pasted=1.0), mix=MIX
    )
    assert torch.equal(batch.rgb, again.rgb)
    assert torch.equal(batch.coords, again.coords)
    assert (normalise(batch)[(batch.valid == 0).expand(-1, 3, -1, -1)] == 0).all()


def test_a_correction_is_a_point_on_the_error() -> None:
    batch = window_batch()
    batch.targets[:, 4:20, 4:20] = 1
    logits = batch.targets * 10 - 5
    logits[0, 4:20, 4:12] = -5  # missed
    logits[1, 24:30, 24:30] = 5  # spilled
    x, y = CORNER
    for seed in range(10):
        second = add_correction(batch, logits, torch.Generator().manual_seed(seed))
        assert second.labels[:, -1].tolist() == [Label.FOREGROUND, Label.BACKGROUND]
        (mx, my), (sx, sy) = (second.coords[:, -1] - torch.tensor([x, y])).tolist()
        assert 16 <= mx < 48
        assert 16 <= my < 80
        assert 96 <= sx < 120
        assert 96 <= sy < 120
        assert not second.single.any()


def test_a_mask_without_an_error_gets_no_correction() -> None:
    batch = window_batch()
    batch.targets[:, 4:20, 4:20] = 1
    second = add_correction(batch, batch.targets * 10 - 5, torch.Generator().manual_seed(0))
    assert (second.labels[:, -1] == Label.EMPTY).all()


@torch.no_grad()
def test_a_zoomed_out_frame_has_the_mean_positions_of_its_cells(small_student: Student) -> None:
    """The small frame is 256 pixels and 16 cells wide; at zoom 2 one cell stands for 2 x 2."""
    batch = replace(window_batch(128, (0, 0)), zoom=2)
    table = torch.arange(16.0 * 16 * 3).view(16, 16, 3)
    (crop,) = small_student._crops(table, batch)
    expected = table.view(8, 2, 8, 2, 3).mean(dim=(1, 3)).flatten(0, 1)
    torch.testing.assert_close(crop, expected)
    assert small_student.embed(batch).shape == (1, 256, 8, 8)


def test_a_zoomed_out_batch_points_into_the_frame(photos: tuple) -> None:
    """Coordinates, also of corrections, are frame pixels at every resolution of the window."""
    style = SceneStyle(pasted=0, shapes=0, stuff=0)
    batch = make_batch(
        photos,
        np.random.default_rng(1),
        shape=BatchSize(size=256, windows=2, prompts=4, zoom=4),
        style=style,
        mix=(0, 1, 0, 0),
    )
    assert batch.corners.tolist() == [[0, 0], [0, 0]]
    for target, coords in zip(batch.targets, batch.coords, strict=True):
        column, row = (coords[0] / 4 / 4).long().tolist()  # zoom, then four pixels per target cell
        assert target[row, column] > 0.5
    wrong = torch.full(batch.targets.shape, -9.0)
    again = add_correction(batch, wrong, torch.Generator().manual_seed(0))
    for target, coords in zip(again.targets, again.coords, strict=True):
        column, row = (coords[-1] / 16).long().tolist()
        assert target[row, column] > 0.5


def test_a_whole_photo_is_at_the_frames_top_left_also_when_mirrored(photos: tuple) -> None:
    style = SceneStyle(pasted=0, shapes=0, stuff=0)
    shape = BatchSize(size=256, windows=8, prompts=1, zoom=4)
    batch = make_batch(photos, np.random.default_rng(2), shape=shape, style=style, mix=(1, 0, 0, 0))
    height, width = 90, 120  # of the photos
    scaled = round(256 * height / width)
    for valid in batch.valid[:, 0]:
        assert valid[: scaled - 1].all()
        assert not valid[scaled + 1 :].any()
