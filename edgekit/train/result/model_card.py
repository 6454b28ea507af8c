"""The model card of a trained checkpoint: its figures, data, training and limits.

The figures are between two HTML comments. `edgekit evaluate --card` fills them in once the
checkpoint has been exported and measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import BadInput
from edgekit.store import utf8_of
from edgekit.verification.evaluation import KINDS, SMALLEST_SIDE, Means

_MOST_BYTES = 2**20

_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"
_UNMEASURED = "Not measured yet: `edgekit evaluate BUNDLE INSTANCES.json --card THIS_FILE`."

_LIMITS = """\
- This is a demonstration checkpoint: it shows that an export still segments like its source. It is
  not the upstream project's model, and was trained on a tiny part of the data used upstream.
- It segments fine structures, crowded scenes, reflections and text poorly, and small objects worst.
- One point is often ambiguous. Use the best of the three masks, or give a box.
- Do not use it for decisions about people, for medical images or where safety depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """The contents of a card.

    data, training: the items of two lists. held_out: mean IoU by kind of prompt. command: repeats
    the run.
    """

    title: str
    file: str
    licence: str
    seed: int
    data: tuple[str, ...]
    training: tuple[str, ...]
    held_out: Mapping[str, float]
    command: str


def model_card(facts: CardFacts) -> str:
    """The card as Markdown, without figures at photo resolution; `with_figures` adds those."""
    held_out = ", ".join(
        f"{name.replace('_', ' ')} {value:.3f}" for name, value in facts.held_out.items()
    )
    return f"""\
# {facts.file}: a demonstration checkpoint of {facts.title}

Trained with edgekit. The architecture and the tensor names are upstream's, the weights are not.
Weights: {facts.licence}, float16.

## Figures

Mean IoU with the annotations at photo resolution, instances of at least {SMALLEST_SIDE} x \
{SMALLEST_SIDE} pixels. "Filled box" is the score of a model that returns the prompt's box as its \
mask.
The point is the mask's pixel farthest from its edge (Euclidean distance).

{_BEGIN}
{_UNMEASURED}
{_END}

During training, at low resolution on held-out photos: {held_out or "no photo was held out"}.

## Data

{_listed(facts.data)}

## Training (seed {facts.seed})

{_listed(facts.training)}

To reproduce:

    {facts.command}

## Limits

{_LIMITS}
"""


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "- none"


def read_card(path: Path) -> str:
    """Read a card and check that figures can be filled in.

    Raises:
        BadInput: the file cannot be read, or lacks the two comments around the figures.
    """
    try:
        text = utf8_of(path, most_bytes=_MOST_BYTES).decode()
    except (OSError, ValueError) as error:  # Malformed and UnicodeDecodeError are ValueErrors
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(
            f"The model card {path} cannot be read: {reason}.",
            expected="the MODEL_CARD.md that `edgekit train` wrote",
        ) from error
    if not 0 <= text.find(_BEGIN) < text.find(_END):
        raise BadInput(
            f"{path} has no place for figures.",
            expected=f"a model card with the lines {_BEGIN} and {_END}",
            next_step="give the MODEL_CARD.md that `edgekit train` wrote",
        )
    return text


def with_figures(card: str, table: Sequence[Means], *, measured_on: str) -> str:
    """The card (see `read_card`) with these figures instead of its earlier ones."""
    before, begin, rest = card.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return f"{before}{begin}\n{figures_table(table)}\n\nMeasured on {measured_on}.\n{end}{after}"


def figures_table(table: Sequence[Means]) -> str:
    """A Markdown table: a row per kind of prompt, a column per size class."""
    head = ["prompt", *(f"{row.size} ({row.instances})" for row in table)]
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * len(table)]
    for kind in KINDS:
        cells = [kind.replace("_", " "), *(f"{row.iou[kind]:.3f}" for row in table)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
