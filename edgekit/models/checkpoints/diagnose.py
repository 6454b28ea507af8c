"""Says why a checkpoint fits no model, where its names and shapes tell.

Fine-tuning changes a model in a few ways, each of which leaves a mark. The rules stand in the order
in which they are tried; the first that applies explains the file best.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgekit.models.checkpoints.recognise import family_of
from edgekit.store import printable

Shapes = Mapping[str, tuple[int, ...]]

_LORA = re.compile(
    r"lora_|hada_|linear_[ab]_[qkv]\b|(?:^|\.)w_[ab]_\d+|\.base_layer\.", re.IGNORECASE
)
_ADAPTER = re.compile(r"adapter", re.IGNORECASE)
_CLASSES = re.compile(r"(?:^|\.)model\.\d+\.cv3\.0\.2\.weight$")
_TOKENS = re.compile(r"(?:^|\.)mask_tokens\.weight$")
_POSITIONS = re.compile(r"(?:image_encoder|vision_encoder)\.pos_embed$")
_PATCH = re.compile(
    r"(?:image_encoder\.patch_embed\.proj|vision_encoder\.patch_embed\.projection)\.weight$"
)

_TIMM = "vision_encoder.backbone.timm_model."  # of transformers' EdgeTAM
_REPVIT = f"{_TIMM}stem.conv1.c.weight"

_READ = ("SAM (", "SAM-HQ (", "SAM 2 (", "EdgeTAM (")  # transformers' layouts that are renamed

MASK_TOKENS = 4
"""One for a single mask and three for several; SAM and every model here has as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a file is, in a sentence, and what to do about it."""

    what: str
    next_step: str


def diagnose(shapes: Shapes) -> Diagnosis | None:
    """The first rule that explains these tensors, or None.

    Args:
        shapes: by the file's names, normalised but not renamed to upstream's.
    """
    return next(filter(None, (rule(shapes) for rule in _RULES)), None)


def _lora(shapes: Shapes) -> Diagnosis | None:
    found = [name for name in shapes if _LORA.search(name)]
    if not found:
        return None
    alone = len(found) == len(shapes)
    return Diagnosis(
        what=f"It holds {len(found)} LoRA tensors ({_example(found)}) that are "
        + ("to be added to a model's weights." if alone else "not merged into the weights."),
        next_step="merge them in the trainer, model = model.merge_and_unload() with PEFT or "
        "W += scale * B @ A by hand, and then torch.save(model.state_dict(), FILE)",
    )


def _adapters(shapes: Shapes) -> Diagnosis | None:
    found = [name for name in shapes if _ADAPTER.search(name)]
    if not found:
        return None
    return Diagnosis(
        what=f"It holds adapters, {len(found)} tensors such as {_example(found)}, which no model "
        "of edgekit has a place for.",
        next_step="train without adapters, or fine-tune the model's own weights",
    )


def _classes(shapes: Shapes) -> Diagnosis | None:
    count = _first(shapes, _CLASSES, axis=0)
    if count in (None, 1):
        return None
    return Diagnosis(
        what=f"It was trained with {count} classes; FastSAM has one, for any object.",
        next_step="train with one class: single_cls=True in ultralytics",
    )


def _tokens(shapes: Shapes) -> Diagnosis | None:
    count = _first(shapes, _TOKENS, axis=0)
    if count in (None, MASK_TOKENS, MASK_TOKENS + 1):  # transformers counts SAM-HQ's token too
        return None
    return Diagnosis(
        what=f"Its decoder has {count} mask tokens; edgekit's models have {MASK_TOKENS}, "
        "one for a single mask and three for several.",
        next_step="train with num_multimask_outputs=3, and choose the single mask when predicting",
    )


def _frame(shapes: Shapes) -> Diagnosis | None:
    """A ViT has a position per patch, so the table tells the photo's size."""
    grid, patch = _first(shapes, _POSITIONS, axis=1), _first(shapes, _PATCH, axis=2)
    table = next((shape for name, shape in shapes.items() if _POSITIONS.search(name)), ())
    if grid is None or patch is None or len(table) != 4 or grid * patch == 1024:
        return None
    return Diagnosis(
        what=f"It was made for photos of {grid * patch} pixels; SAM's models here take 1024.",
        next_step="train at 1024 pixels, with position tables as in the original checkpoint",
    )


def _transformers(shapes: Shapes) -> Diagnosis | None:
    family = family_of(shapes)
    if family is None or "transformers" not in family or family.startswith(_READ):
        return None
    return Diagnosis(
        what=f"It is {family}, which edgekit does not read under these names.",
        next_step="give the original project's file; edgekit models NAME names it",
    )


def _trunk(shapes: Shapes) -> Diagnosis | None:
    """transformers' default EdgeTamConfig has a ResNet-50; the published model has not."""
    if _REPVIT in shapes or not any(name.startswith(_TIMM) for name in shapes):
        return None
    return Diagnosis(
        what="It is EdgeTAM (transformers names) with another image encoder than RepViT-M1, "
        "which the published model has.",
        next_step='train with TimmWrapperConfig(architecture="repvit_m1") in the vision config',
    )


_RULES: tuple[Callable[[Shapes], Diagnosis | None], ...] = (
    _lora,
    _adapters,
    _transformers,
    _trunk,
    _classes,
    _tokens,
    _frame,
)


def _first(shapes: Shapes, pattern: re.Pattern[str], *, axis: int) -> int | None:
    """A dimension of the first tensor whose name matches."""
    found = (shape for name, shape in shapes.items() if pattern.search(name))
    return next((shape[axis] for shape in found if len(shape) > axis), None)


def _example(names: list[str]) -> str:
    return printable(names[0])
