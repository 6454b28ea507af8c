"""The tensors of a model's graphs: names, roles, shapes and label codes."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.records.enums import StrEnum


class Label:
    """Codes of `point_labels` in the decoder graph (SAM's, and -2 for an unused slot)."""

    EMPTY = -2
    """No influence at all: the slot is masked out of attention as a key."""
    PADDING = -1
    """SAM's not-a-point embedding, without a positional part."""
    BACKGROUND = 0
    FOREGROUND = 1
    BOX_TOP_LEFT = 2
    BOX_BOTTOM_RIGHT = 3


class Role(StrEnum):
    """What a graph does: the encoder runs once per photo, the decoder once per prompt.

    A model that finds all objects at once is one graph, run once per photo: an encoder alone.
    """

    ENCODER = "encoder"
    DECODER = "decoder"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphContract:
    """Tensor names of a model's graphs, in the order of the modules' arguments and results.

    The encoder takes `image`; what it returns (`features`) are the decoder's first arguments,
    before the `prompts`. The decoder returns `answers`; without answers there is no decoder, and
    prompts choose among the features (`DetectorContract`). Features have batch 1: those of one
    photo serve all of its prompts. `measures` are features that the client reads as they are, as
    positions or scores: every precision keeps what makes them from the last large product in float.
    """

    features: tuple[str, ...] = ("image_embeddings",)
    prompts: tuple[str, ...] = ("point_coords", "point_labels", "mask_input", "has_mask_input")
    answers: tuple[str, ...] = ("low_res_masks", "iou_predictions")
    measures: tuple[str, ...] = ()

    @property
    def roles(self) -> tuple[Role, ...]:
        """The graphs that the model has."""
        return (Role.ENCODER, Role.DECODER) if self.answers else (Role.ENCODER,)

    def inputs(self, role: Role) -> tuple[str, ...]:
        """Names of the arguments of one role's module."""
        return ("image",) if role == Role.ENCODER else (*self.features, *self.prompts)

    def outputs(self, role: Role) -> tuple[str, ...]:
        """Names of the results of one role's module."""
        return self.features if role == Role.ENCODER else self.answers


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A graph input or output; a string in `shape` names a dynamic dimension."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


def slots_in(inputs: tuple[TensorSpec, ...]) -> int | None:
    """The number of prompt slots of a graph with these inputs, if it has a fixed one."""
    sizes = (spec.shape[-1] for spec in inputs if spec.name == "point_labels")
    return next((size for size in sizes if isinstance(size, int)), None)
