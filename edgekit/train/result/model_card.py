"""The model card that lies beside a trained checkpoint: what it is, from what, how good, what not.

The figures stand between two marks, so that `edgekit evaluate --card` can fill them in when the
checkpoint has been exported and measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import BadInput
from edgekit.verification.evaluation import KINDS, SMALLEST_SIDE, Means

_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"
_UNMEASURED = "Not measured yet: `edgekit evaluate BUNDLE INSTANCES.json --card THIS_FILE`."

_LIMITS = """\
- A demonstration checkpoint: it shows that an export still segments like its source. It is not
  the upstream project's model, and was trained on a tiny part of the data that those saw.
- Fine structures, crowded scenes, reflections and text are segmented poorly; objects that are
  small in the photo worst.
- One point is often ambiguous. Take the best of the three masks, or give a box.
- Not for decisions about people, for medical images or for anything where safety depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card tells. `recipe` are sentences, `data` lines of a list, `command` to type."""

    title: str
    file: str
    licence: str
    seed: int
    data: tuple[str, ...]
    recipe: tuple[str, ...]
    held_out: Mapping[str, float]
    command: str


def model_card(facts: CardFacts) -> str:
    """The card as markdown; the figures at photo resolution are filled in by `with_figures`."""
    held_out = ", ".join(
        f"{name.replace('_', ' ')} {value:.3f}" for name, value in facts.held_out.items()
    )
    return f"""\
# {facts.file}: a demonstration checkpoint of {facts.title}

Trained by edgekit. The architecture and the tensor names are upstream's, the weights are not.
Weights: {facts.licence}, float16.

## Figures

Mean IoU with the annotations at photo resolution, instances of at least {SMALLEST_SIDE} x \
{SMALLEST_SIDE} pixels. The filled
box is what a model that draws nothing would get; the point is the mask's pixel farthest from its
edge (Euclidean).

{_BEGIN}
{_UNMEASURED}
{_END}

While training, on windows of photos that were held out: {held_out or "nothing was held out"}.

## Data

{_listed(facts.data)}

## Recipe (seed {facts.seed})

{_listed(facts.recipe)}

To reproduce:

    {facts.command}

## Limits

{_LIMITS}
"""


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "- none"


def read_card(path: Path) -> str:
    """The text of a card that has a place for figures.

    Raises:
        BadInput: it cannot be read, or is no card of ours.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The model card {path} cannot be read ({error}).") from error
    if not 0 <= text.find(_BEGIN) < text.find(_END):
        raise BadInput(
            f"{path} has no place for figures.", expected=f"the lines {_BEGIN} and {_END}"
        )
    return text


def with_figures(card: str, table: Sequence[Means], *, measured_on: str) -> str:
    """A card (see `read_card`) with these figures in the place of whatever stood there."""
    before, begin, rest = card.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return f"{before}{begin}\n{figures_table(table)}\n\nMeasured on {measured_on}.\n{end}{after}"


def figures_table(table: Sequence[Means]) -> str:
    """A markdown table: a row per kind of prompt, a column per size class."""
    head = ["prompt", *(f"{row.size} ({row.instances})" for row in table)]
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * len(table)]
    for kind in KINDS:
        cells = [kind.replace("_", " "), *(f"{row.iou[kind]:.3f}" for row in table)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
