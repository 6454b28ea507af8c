"""The tensors of a model's graphs: their names, roles, shapes and label codes."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.records.enums import StrEnum


class Label:
    """Codes of `point_labels` in the decoder graph: SAM's, and -2 for an unused slot."""

    EMPTY = -2
    """The slot has no influence: attention masks it out as a key."""
    PADDING = -1
    """SAM's not-a-point embedding, without a positional encoding."""
    BACKGROUND = 0
    FOREGROUND = 1
    BOX_TOP_LEFT = 2
    BOX_BOTTOM_RIGHT = 3


class Role(StrEnum):
    """A graph's role: the encoder runs once per photo, the decoder once per batch of prompts.

    A model of a single graph has an encoder only. It runs once per photo if it detects all objects
    at once, and once per prompt if prompts are drawn into its image.
    """

    ENCODER = "encoder"
    DECODER = "decoder"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphContract:
    """The tensor names of a model's graphs, in the order of the modules' arguments and results.

    The encoder takes `image` and returns `features`, which have batch 1 and serve all prompts on
    the photo. The decoder takes the features, then the `prompts`, and returns `answers`. A model
    without answers has no decoder: prompts choose among its features (`DetectorContract`), or are
    drawn into `image` (`DrawingRule`), and the features are the answers. `measures` are features
    that the client reads as positions or scores. Every precision keeps the operators after the last
    large product, from which they come, in float. `axes` are those of the image: 2 for a photo, 3
    for a volume. A point has a coordinate for each.
    """

    features: tuple[str, ...] = ("image_embeddings",)
    prompts: tuple[str, ...] = ("point_coords", "point_labels", "mask_input", "has_mask_input")
    answers: tuple[str, ...] = ("low_res_masks", "iou_predictions")
    measures: tuple[str, ...] = ()
    axes: int = 2

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
    """A graph's input or output; a string in `shape` names a dynamic dimension."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


PromptShape = tuple[int, int]
"""How many prompts a decoder of static shapes takes in one call, and how many points of each."""


def prompt_shape_in(inputs: tuple[TensorSpec, ...]) -> PromptShape | None:
    """The prompts and points of a graph with these inputs; None if a size is dynamic."""
    labels = next((spec.shape for spec in inputs if spec.name == "point_labels"), ())
    sizes = [size for size in labels if isinstance(size, int)]
    return (sizes[0], sizes[1]) if len(sizes) == 2 else None
