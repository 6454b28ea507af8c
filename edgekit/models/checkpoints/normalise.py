"""Turns what a trainer wrote into one model's tensors under the model's own names.

Trainers nest a state dict (`{"net": ...}`), wrap the model (`module.`, `_orig_mod.`, `student.`)
and save more than a model needs (losses, counters, the photo's mean). All of that is undone here,
once, before a model is recognised. The content is flattened into dotted names first, so that a nest
and a prefix are the same thing: the text before the first name that a model is known by.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointMismatch
from edgekit.store import printable

if TYPE_CHECKING:
    from torch import Tensor

# Modules that wrap another without a name of the user's choice, wherever they stand in a name.
_WRAPPERS = frozenset(
    ("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
)

# How the names of a model of any family begin, for whole models and for files of one part.
_ANCHOR = re.compile(
    r"(?:^|\.)(?=(?:"
    r"image_encoder\.|mask_decoder\.|prompt_encoder\.|PromtEncoder\.|MaskDecoder\."
    r"|sam_mask_decoder\.|sam_prompt_encoder\.|vision_encoder\.|shared_image_embedding\."
    r"|model\.0\.conv\.|model\.22\.|unet_encoder\.|get_iou_predictions_and_mask_tokens\."
    r"|panoptic_head\.|neck\.deconv\."
    r"|backbone\.(?:conv1|layer1|stem_in_conv|stages)\b|trunk\.patch_embed\."
    r"|patch_embed\.|features\.0\.|iou_token\.|mask_tokens\.|pe\.pe_layer\.|pe_layer\.))"
)

# Of two rivals, the one under these keys is the model: so upstream projects name it.
_PREFERRED = ("", "model", "state_dict", "model_state_dict")

_NOT_WEIGHTS = re.compile(
    r"(?:^|\.)pixel_(?:mean|std)$"
    r"|^(?:criterion|loss|losses|loss_fn|\w+_loss|metrics?|\w+_metrics?)\."
    r"|^(?:optimizer|optimizers|optimizer_states?|lr_schedulers?|scheduler|scaler)(?:\.|$)"
    r"|^(?:n_averaged|num_updates|initted|steps?|global_step|epoch|decay|iter|iteration)$"
    r"|(?:^|\.)total_(?:ops|params)$"
)
ADAPTED = re.compile(r"lora_|hada_|linear_[ab]_[qkv]\b|(?:^|\.)w_[ab]_\d+|adapter", re.IGNORECASE)
"""Names of layers that change other layers' weights; leaving them out would change the model."""

_MOST_GROUPS = 64
_LISTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One model's tensors under the file's names without nests, prefixes and surplus.

    `notes` say what was left out or chosen; each is one sentence for the user.
    """

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tensors that share a prefix: (the model's own name, the file's name) pairs."""

    prefix: str
    names: Mapping[str, str]

    @property
    def key(self) -> str:
        """What to type after `FILE#` for it."""
        return self.prefix.rstrip(".")


def normalise(tensors: Mapping[str, Tensor], *, file: str, key: str | None = None) -> Checkpoint:
    """One model's tensors.

    Args:
        tensors: by their dotted names, nests included.
        file: the file's name, for messages.
        key: of `--weights FILE#KEY`: the nest or prefix to take.

    Raises:
        CheckpointMismatch: there are several state dicts and no key, or none under the key.
    """
    found = _groups(tensors)
    if key is not None:
        chosen, note = _choose(_under(found, tensors, key=key, file=file), file)[0], None
    else:
        chosen, note = _choose(found, file)
    names = {own: given for group in chosen for own, given in group.names.items()}
    kept = {own: given for own, given in names.items() if not _NOT_WEIGHTS.search(own)}
    rivals = {given for group in found for given in group.names.values()} - set(names.values())
    surplus = [given for given in tensors if given not in set(kept.values()) | rivals]
    surplus = surplus if key is None else []
    adapted = [given for given in surplus if ADAPTED.search(given)]
    left_out = [given for given in surplus if given not in set(adapted)]
    notes = (note, _left_out_note(left_out, file))
    return Checkpoint(
        tensors={own: tensors[given] for own, given in kept.items()}
        | {given: tensors[given] for given in adapted},
        notes=tuple(filter(None, notes)),
    )


def _left_out_note(names: list[str], file: str) -> str | None:
    if not names:
        return None
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    listed = ", ".join(printable(name) for name in names[:_LISTED])
    return f"{file}: left out as no part of the model: {listed}{more}."


def _groups(tensors: Collection[str]) -> list[Group]:
    """The tensors by prefix; one group of all without a nest, if no name is known."""
    prefixes = {name: _prefix(name) for name in tensors}
    known = sorted({p for p in prefixes.values() if p is not None}, key=len, reverse=True)
    if not known or len(known) > _MOST_GROUPS:
        nest = _shared_nest(tensors)
        return [_group(nest, [name for name in tensors if name.startswith(nest)])]
    members: dict[str, list[str]] = {prefix: [] for prefix in known}
    for name, prefix in prefixes.items():
        own = next((p for p in known if name.startswith(p)), None) if prefix is None else prefix
        if own is not None:
            members[own].append(name)
    return [_group(prefix, names) for prefix, names in sorted(members.items())]


def _prefix(name: str) -> str | None:
    """The text before the first known name, or None."""
    match = _ANCHOR.search(name)
    return name[: match.end()] if match else None


def _group(prefix: str, names: Iterable[str]) -> Group:
    own: dict[str, str] = {}
    for name in names:
        inner = name[len(prefix) :]
        unwrapped = _unwrapped(inner)
        own[inner if unwrapped in own else unwrapped] = name
    return Group(prefix=prefix, names=own)


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _shared_nest(names: Collection[str]) -> str:
    """The nest of a file of an unknown model: a preferred one, or the one of all names."""
    nests = {name.partition(".")[0] for name in names}
    for nest in _PREFERRED[1:]:
        if nest in nests:
            return f"{nest}."
    return ""


def _choose(found: list[Group], file: str) -> tuple[list[Group], str | None]:
    """The groups that make up the model, and a note on those that were passed over."""
    every = [name for group in found for name in group.names]
    if len(every) == len(set(every)):
        return found, None
    for preferred in _PREFERRED:
        own = [group for group in found if _unwrapped(group.key) == preferred]
        if len(own) == 1:
            others = ", ".join(printable(g.key) for g in found if g is not own[0])
            where = own[0].key or "the file's first level"
            return own, f"{file}: took {where}; --weights FILE#KEY takes another: {others}."
    keys = [printable(group.key) for group in found]
    raise CheckpointMismatch(
        f"{file} holds {len(found)} state dicts: {', '.join(keys[:6])}.",
        expected="one of them",
        next_step=f"--weights {file}#{keys[0]}",
    )


def _under(found: list[Group], tensors: Collection[str], *, key: str, file: str) -> list[Group]:
    """The groups under a key; the key may also name a nest of a model that is not known."""
    chosen = [group for group in found if f"{group.key}.".startswith(f"{key}.")]
    if chosen:
        return chosen
    inside = [name for name in tensors if name.startswith(f"{key}.")]
    if inside:
        return [_group(f"{key}.", inside)]
    keys = (
        ", ".join(printable(group.key) for group in found if group.key) or "none: it has no nests"
    )
    raise CheckpointMismatch(
        f"{file} holds nothing under {printable(key)!r}.", expected=f"one of {keys}"
    )
