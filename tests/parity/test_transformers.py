"""A file of Hugging Face transformers' own model gives the same features and masks here.

Their model is initialised with random numbers and saved as a user's file; ours loads the file. Both
get one random image with a point and a box. `pip install 'edgekit[parity]'` brings transformers,
and timm for EdgeTAM's trunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.runtime.decoder_feeds import decoder_feeds
from edgekit.runtime.prompts import Prompt

torch = pytest.importorskip("torch", reason="checkpoints are read with PyTorch (extra `export`)")
theirs = pytest.importorskip(
    "transformers", reason="transformers is not installed (extra `parity`)", exc_type=ImportError
)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FRAME = 1024
HQ = (4,)  # SAM-HQ's own mask, behind SAM's four
POINT, BOX = (400.0, 250.0), (200.0, 120.0, 700.0, 640.0)
TOLERANCE = 1e-4  # of the largest value


def slimsam() -> torch.nn.Module:
    """SAM with the widths of SlimSAM-77: the smallest that is published under these names."""
    return theirs.SamModel(theirs.SamConfig(vision_config={"hidden_size": 168, "mlp_dim": 696}))


def sam_hq() -> torch.nn.Module:
    """With the two-way transformer's image result where it belongs.

    transformers 5.24 names that result `iou_token_out`, drops it, and upsamples the embeddings from
    before the transformer; SysCV/sam-hq upsamples the result. Where it does too, nothing changes.
    """
    model = theirs.SamHQModel(theirs.SamHQConfig())
    results: list[torch.Tensor] = []

    def keep(_module: object, _given: object, result: tuple[torch.Tensor, ...]) -> None:
        results[:] = [result[1]]

    def put_back(_module: object, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (results[0].transpose(2, 3).reshape(given[0].shape),)

    model.mask_decoder.transformer.register_forward_hook(keep)
    model.mask_decoder.upscale_conv1.register_forward_pre_hook(put_back)
    return model


def sam2() -> torch.nn.Module:
    return theirs.Sam2Model(theirs.Sam2Config())


def edgetam() -> torch.nn.Module:
    pytest.importorskip("timm", reason="timm is not installed (extra `parity`)")
    from transformers.models.edgetam.configuration_edgetam import EdgeTamVisionConfig

    trunk = theirs.TimmWrapperConfig(
        architecture="repvit_m1",
        do_pooling=False,
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )
    vision = EdgeTamVisionConfig(backbone_config=trunk)
    return theirs.EdgeTamModel(theirs.EdgeTamConfig(vision_config=vision))


@dataclass(frozen=True)
class Case:
    """A model of ours, the function that makes theirs, and the masks of ours that theirs answers.

    `features` are our names of their features, in their order.
    """

    model: str
    make: Callable[[], torch.nn.Module]
    masks: tuple[int, ...] = (1, 2, 3)
    features: tuple[str, ...] = ("image_embeddings",)


FINE = ("high_res_features_0", "high_res_features_1", "image_embeddings")
CASES = (
    Case("slimsam_77", slimsam),
    Case("hqsam_vit_b", sam_hq, masks=HQ),
    Case("sam2.1_hiera_t", sam2, features=FINE),
    Case("edgetam", edgetam, features=FINE),
)


def randomise(model: torch.nn.Module) -> None:
    """Fill every tensor, since many start at zero or one; the scale keeps activations near 1."""
    numbers = torch.Generator().manual_seed(14)

    def normal(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=numbers)

    with torch.no_grad():
        for name, tensor in model.named_parameters():
            scale = tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.1
            centre = 1.0 if tensor.ndim == 1 and name.endswith("weight") else 0.0
            tensor.copy_(centre + scale * normal(tensor))
        for name, tensor in model.named_buffers():
            if name.endswith("running_mean"):
                tensor.copy_(0.1 * normal(tensor))
            elif name.endswith("running_var"):
                tensor.copy_(1 + 0.1 * normal(tensor).abs())
            elif name.endswith("positional_embedding"):
                # They hold the matrix twice; both copies get the same numbers.
                tensor.copy_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(3)))


def answer(model: torch.nn.Module, image: torch.Tensor, case: Case) -> dict[str, np.ndarray]:
    """Their features, and their masks for the point and the box together."""
    hq = {"hq_token_only": True} if case.masks == HQ else {}
    with torch.inference_mode():
        features = model.get_image_embeddings(image)
        masks = model(
            pixel_values=image,
            input_points=torch.tensor([[[POINT]]]),
            input_labels=torch.tensor([[[1]]]),
            input_boxes=torch.tensor([[BOX]]),
            multimask_output=not hq,
            **hq,
        ).pred_masks
    listed = features if isinstance(features, list | tuple) else [features]
    named = {name: feature.numpy() for name, feature in zip(case.features, listed, strict=False)}
    return named | {"masks": masks[0].numpy()}


def our_answer(path: Path, image: torch.Tensor, case: Case) -> dict[str, np.ndarray]:
    from edgekit.models.checkpoints.fit import load
    from edgekit.models.reference import reference_sessions

    row = registry.model(case.model)
    encoder, decoder = reference_sessions(load(row, locate(row, (str(path),))))
    features = encoder.run({"image": image.numpy()})
    size = (FRAME, FRAME)
    prompt = Prompt.checked(points=[POINT], labels=[1], box=BOX, mask=None, photo_size=size)
    masks = decoder.run({**features, **decoder_feeds([prompt], size, row.client)})["low_res_masks"]
    return {**features, "masks": masks[:, list(case.masks)]}


@pytest.mark.parametrize("case", CASES, ids=[case.model for case in CASES])
def test_a_transformers_file_computes_what_their_model_does(case: Case, tmp_path: Path) -> None:
    model = case.make().eval()
    randomise(model)
    path = tmp_path / "pytorch_model.bin"
    torch.save(model.state_dict(), path)
    image = torch.randn(1, 3, FRAME, FRAME, generator=torch.Generator().manual_seed(1))
    expected = answer(model, image, case)
    del model
    ours = our_answer(path, image, case)
    for name, array in expected.items():
        assert ours[name].shape == array.shape, name
        gap = np.abs(ours[name] - array).max() / np.abs(array).max()
        assert gap <= TOLERANCE, f"{name}: {gap:.1e} of the largest value"
        assert array.std() > 1e-3, f"{name} is flat, so that it shows nothing"
