"""The student computes the same as the exported model, also at lower resolution."""

from __future__ import annotations

import pytest
import torch

from edgekit.records import Label
from edgekit.train.data.batches import Batch, BatchSize, encoder_input, make_batch
from edgekit.train.data.canvases import Canvases
from edgekit.train.data.correction import add_correction
from edgekit.train.data.random_numbers import generator_for
from edgekit.train.data.scenes import SceneStyle
from edgekit.train.stages.student import Student, _pooled

CPU = torch.device("cpu")
MIX = (0.25, 0.25, 0.25, 0.25)


def frame_batch(side: int = 256, *, zoom: int = 1) -> Batch:
    """A frame with a point, and a point with a box."""
    empty = float(Label.EMPTY)
    generator = torch.Generator().manual_seed(0)
    return Batch(
        rgb=torch.randint(255, (1, 3, side, side), generator=generator).float(),
        valid=torch.ones(1, 1, side, side),
        coords=torch.tensor(
            [[[40.0, 30.0], [0, 0], [0, 0]], [[70.0, 9.0], [5.0, 6.0], [99.0, 80.0]]]
        ),
        labels=torch.tensor([[1.0, empty, empty], [1.0, 2.0, 3.0]]),
        targets=torch.zeros(2, side // 4, side // 4),
        usable=torch.ones(2, dtype=torch.bool),
        single=torch.tensor([1.0, 0.0]),
        zoom=zoom,
    )


@pytest.mark.parametrize("refined", [False, True])
@torch.no_grad()
def test_a_frame_is_decoded_as_by_the_exported_decoder(
    small_student: Student, refined: bool
) -> None:
    batch = frame_batch()
    embeddings = small_student.embed(batch)
    previous = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    logits, iou = small_student.decode(embeddings, batch, previous if refined else None)
    expected = small_student.decoder(
        embeddings, batch.coords, batch.labels, previous, torch.full((2,), float(refined))
    )
    torch.testing.assert_close(logits, expected[0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(iou, expected[1], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_a_coarse_frame_has_the_mean_positions_of_its_cells(small_student: Student) -> None:
    """The small frame is 256 pixels and 16 cells wide; at zoom 2 one cell stands for 2 x 2."""
    table = torch.arange(16.0 * 16 * 3).view(16, 16, 3)
    expected = table.view(8, 2, 8, 2, 3).mean(dim=(1, 3)).flatten(0, 1)
    torch.testing.assert_close(_pooled(table.reshape(1, -1, 3), 16, 2)[0], expected)
    batch = frame_batch(128, zoom=2)
    embeddings = small_student.embed(batch)
    assert embeddings.shape == (1, 256, 8, 8)
    without = small_student.encoder.features(encoder_input(batch))
    positions = small_student.encoder.positions().view(1, 256, 8, 2, 8, 2).mean(dim=(3, 5))
    torch.testing.assert_close(embeddings - without, positions, atol=1e-4, rtol=1e-4)
    logits, _ = small_student.decode(embeddings, batch)
    assert logits.shape == (2, 4, 32, 32)


def drawn(canvases: Canvases, *, zoom: int, mix: tuple[float, ...] = MIX, seed: int = 2) -> Batch:
    shape = BatchSize(frames=3, prompts=4, zoom=zoom)
    style = SceneStyle(whole=1.0, pasted=0.5)
    return make_batch(canvases, generator_for(seed, device=CPU), shape=shape, style=style, mix=mix)


def test_batches_stack_prompts_frame_by_frame(canvases: Canvases) -> None:
    batch = drawn(canvases, zoom=8)
    assert batch.rgb.shape == (3, 3, 128, 128)
    assert batch.targets.shape == (12, 32, 32)
    assert batch.coords.shape[0] == len(batch.usable) == len(batch.single) == 12
    again = drawn(canvases, zoom=8)
    assert torch.equal(batch.rgb, again.rgb)
    assert torch.equal(batch.coords, again.coords)
    assert (encoder_input(batch)[(batch.valid == 0).expand(-1, 3, -1, -1)] == 0).all()


@pytest.mark.parametrize("zoom", [4, 8])
def test_coordinates_are_frame_pixels_at_every_resolution(canvases: Canvases, zoom: int) -> None:
    batch = drawn(canvases, zoom=zoom, mix=(0, 1, 0, 0))
    assert batch.single.all()
    for target, coords in zip(batch.targets, batch.coords, strict=True):
        column, row = (coords[0] / zoom / 4).long().tolist()  # four pixels per cell of the target
        assert target[row, column] > 0.5
    wrong = torch.full(batch.targets.shape, -9.0)
    again = add_correction(batch, wrong, generator_for(0, device=CPU))
    for target, coords in zip(again.targets, again.coords, strict=True):
        column, row = (coords[-1] / zoom / 4).long().tolist()
        assert target[row, column] > 0.5


def test_a_correction_is_a_point_on_the_error() -> None:
    batch = frame_batch(128)
    batch.targets[:, 4:20, 4:20] = 1
    logits = batch.targets * 10 - 5
    logits[0, 4:20, 4:12] = -5  # missed
    logits[1, 24:30, 24:30] = 5  # spilled
    for seed in range(10):
        second = add_correction(batch, logits, generator_for(seed, device=CPU))
        assert second.labels[:, -1].tolist() == [Label.FOREGROUND, Label.BACKGROUND]
        (mx, my), (sx, sy) = second.coords[:, -1].tolist()
        assert 16 <= mx < 48
        assert 16 <= my < 80
        assert 96 <= sx < 120
        assert 96 <= sy < 120
        assert not second.single.any()


def test_a_mask_without_an_error_gets_no_correction() -> None:
    batch = frame_batch(128)
    batch.targets[:, 4:20, 4:20] = 1
    second = add_correction(batch, batch.targets * 10 - 5, generator_for(0, device=CPU))
    assert (second.labels[:, -1] == Label.EMPTY).all()


def test_gradients_in_bf16_are_those_in_float32(student: Student) -> None:
    """Those of the upscaling's layer norm were not: PyTorch sums a BF16 norm's in BF16."""
    batch = frame_batch(1024)
    with torch.no_grad():
        embeddings = student.embed(batch)

    def gradients(bf16: bool) -> dict[str, torch.Tensor]:
        student.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits, iou = student.decode(embeddings, batch)
        (torch.sigmoid(logits).mean() + iou.mean()).backward()  # type: ignore[no-untyped-call]
        named = student.decoder.named_parameters()
        return {name: p.grad.flatten() for name, p in named if p.grad is not None}

    plain, rounded = gradients(False), gradients(True)
    compared = {name for name, gradient in plain.items() if gradient.norm() > 1e-6}
    assert len(compared) > 100
    for name in compared:
        cosine = torch.cosine_similarity(plain[name], rounded[name], dim=0)
        assert cosine > 0.95, f"{name}: {cosine:.2f}"
