"""Which cells are asked for: names, globs and words for models and targets, files of the user's own
targets, and a shard of the cells."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from glob import glob

from edgekit import catalog
from edgekit.catalog.tables import unknown_name
from edgekit.errors import BadInput
from edgekit.lowering import obstacle
from edgekit.matrix.cells import NAME, TARGET_FILE, Cell, Measure, target_name
from edgekit.matrix.identity import has_weights
from edgekit.models import registry
from edgekit.records import Precision, Target
from edgekit.store import user_path

CHANGED = "changed"
"""The word that asks for all pairs, but only for cells without a result that still holds."""

ALL_MODELS = "*"
"""The key of weights for all models without weights of their own."""

CANARY_MODELS = ("nanosam", "mobilesam", "sam2.1_hiera_t", "fastsam_s")
"""A small model of each kind: NanoSAM's and SAM's encoder, SAM 2's decoder, and a detector."""

_WORD_OF_WEIGHTS = re.compile(r"official|bundled|seeded(:[0-9]+)?")

Words = Mapping[str, Callable[[], Iterable[str]]]


def selected_models(asked: Sequence[str]) -> tuple[str, ...]:
    """The models that names, globs and words mean, in the registry's order.

    Args:
        asked: each may be several, separated by commas. Words: "all"; "canary", `CANARY_MODELS`;
            "ready", those whose weights edgekit downloads or ships; "changed", all.

    Raises:
        UnknownName: a name or glob means none; the nearest names are suggested.
        BadInput: there is no name.
    """
    names = [row.name for row in registry.models()]
    words: Words = {
        "all": lambda: names,
        CHANGED: lambda: names,
        "canary": lambda: CANARY_MODELS,
        "ready": lambda: (row.name for row in registry.models() if has_weights(row)),
    }
    return _selected(_parts(asked, kind="model"), names, words, kind="model")


def selected_targets(asked: Sequence[str]) -> tuple[str, ...]:
    """The targets that names, globs, words and files mean, as `catalog.target_or_file` takes them:
    edgekit's own sorted by name, then the files of the user's in the order that they are asked for.

    Args:
        asked: each may be several, separated by commas. Words: "all"; "canary", one per runtime, in
            the widest precision that edgekit makes for it; "ready", those whose files this machine
            can make; "changed", all. What ends with .toml is a file, or a glob of files.

    Raises:
        UnknownName: as for `selected_models`.
        BadInput: there is no name, a file cannot be used, or two have the same name.
    """
    parts = _parts(asked, kind="target")
    named = [part for part in parts if not part.endswith(TARGET_FILE)]
    files = _own_files(part for part in parts if part.endswith(TARGET_FILE))
    profiles = catalog.targets()
    names = [profile.name for profile in profiles]
    words: Words = {
        "all": lambda: names,
        CHANGED: lambda: names,
        "canary": lambda: _widest_per_runtime(profiles),
        "ready": lambda: (profile.name for profile in profiles if obstacle(profile) is None),
    }
    own = [file for name, file in files.items() if name not in names]
    named += [name for name in files if name in names]
    return (*_selected(named, names, words, kind="target"), *own)


def _own_files(patterns: Iterable[str]) -> dict[str, str]:
    """The files that paths and globs of profiles mean, by the names of their targets."""
    found: dict[str, str] = {}
    paths = (str(user_path(pattern)) for pattern in patterns)
    for file in (file for path in paths for file in sorted(glob(path)) or [path]):
        name = _name_in(file)
        other = found.setdefault(name, file)
        if os.path.abspath(other) != os.path.abspath(file):
            raise BadInput(
                f"Two targets are named {name}: {other} and {file}.",
                expected="names of their own, so that their results can be told apart",
                next_step="rename one of the files, and change its key `name`",
            )
    return found


def _name_in(file: str) -> str:
    """The name of a profile, with which its results are written."""
    name = catalog.target_or_file(file).name
    if not NAME.fullmatch(name):
        raise BadInput(
            f"The target {name!r} cannot be part of a matrix by this name.",
            expected="letters, digits and . _ -, 100 at most, a letter or digit first and no two "
            "hyphens in a row: results are files with this name",
            next_step=f"rename {file}, and change its key `name`",
        )
    return name


def _parts(asked: Sequence[str], *, kind: str) -> list[str]:
    """The parts between commas.

    Raises:
        BadInput: there is none.
    """
    parts = [part.strip() for text in asked for part in text.split(",") if part.strip()]
    if not parts:
        raise BadInput(
            f"--{kind}s {','.join(asked)!r} names no {kind}.",
            expected="names, globs or words, separated by commas",
            next_step=f"--{kind}s canary, or edgekit {kind}s for the names",
        )
    return parts


def _selected(
    patterns: Sequence[str], names: Sequence[str], words: Words, *, kind: str
) -> tuple[str, ...]:
    found: set[str] = set()
    for pattern in patterns:
        word = words.get(pattern)
        matching = set(word()) if word else {name for name in names if fnmatchcase(name, pattern)}
        if not matching and not word:
            raise unknown_name(
                kind,
                pattern,
                known=names,
                command=f"edgekit {kind}s",
                also=[*words, *_globs(names)],
            )
        found |= matching
    return tuple(name for name in names if name in found)


def _globs(names: Iterable[str]) -> list[str]:
    """Globs such as "x86-*" that may have been meant."""
    stems = (name[: end.end()] for name in names for end in re.finditer("[-_]", name))
    return sorted({f"{stem}*" for stem in stems})


def _widest_per_runtime(profiles: Iterable[Target]) -> Iterable[str]:
    widths = list(Precision)
    widest: dict[str, Target] = {}
    for profile in sorted(profiles, key=lambda profile: widths.index(profile.precision)):
        widest.setdefault(profile.runtime, profile)
    return (profile.name for profile in widest.values())


def weights_by_model(asked: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Weights from `--weights`: "VALUE" for all models (key "*"), "MODEL=VALUE" for one."""
    found: dict[str, tuple[str, ...]] = {}
    for text in asked:
        model, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[\w.]+", model):
            model, value = ALL_MODELS, text
        found[model] = (*found.get(model, ()), value)
    return found


def require_weights(weights: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse weights that cannot be meant.

    Raises:
        UnknownName: there is no such model.
        BadInput: files are given for all models, or several words; or a value is empty.
    """
    for model, values in weights.items():
        if "" in values:
            raise BadInput(
                f"The weights of {model} are empty.",
                expected="official, bundled, seeded, or the files of a model",
                next_step="check the command line: a shell variable in it may not be set",
            )
        if model != ALL_MODELS:
            registry.model(model)
        elif len(values) > 1 or not all(map(_WORD_OF_WEIGHTS.fullmatch, values)):
            raise BadInput(
                f"The weights '{' '.join(values)}' are given for all models.",
                expected="one of official, bundled, seeded for all, or the files of one model",
                next_step="name the model: --weights MODEL=FILE",
            )


def cells_of(
    models: Iterable[str],
    targets: Sequence[str],
    *,
    weights: Mapping[str, tuple[str, ...]],
    photos: str | None,
    measures: tuple[Measure, ...],
) -> tuple[Cell, ...]:
    """All pairs, model by model: what an export for one target caches serves the next.

    `targets` are names, and files of the user's own targets.
    """
    return tuple(
        Cell(
            model=model,
            target=target_name(target),
            target_file=target if target.endswith(TARGET_FILE) else None,
            weights=weights.get(model, weights.get(ALL_MODELS, ())),
            photos=photos,
            measures=measures,
        )
        for model in models
        for target in targets
    )


def shard_of(cells: Sequence[Cell], text: str) -> tuple[Cell, ...]:
    """Part i of n, for "i/n" with i from 1: every n-th cell, so that parts take alike long.

    Raises:
        BadInput: the text is no such fraction.
    """
    match = re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", text)
    index, count = (int(number) for number in match.groups()) if match else (1, 0)
    if index > count:
        raise BadInput(
            f"--shard {text} is not a part of the cells.",
            expected="i/n with i from 1 to n, such as 1/4",
        )
    return tuple(cells[index - 1 :: count])


def measures_from(text: str) -> tuple[Measure, ...]:
    """The measures in text such as "verify,bench".

    Raises:
        BadInput: there is another word, or "verify" is missing: the verdict is a cell's state.
    """
    words = [word.strip() for word in text.split(",")]
    if not set(words) <= set(Measure) or Measure.VERIFY not in words:
        raise BadInput(
            f"--measure {text} is not what a cell can be measured by.",
            expected="verify, and perhaps bench or evaluate: no cell has a state without a verdict",
        )
    return tuple(measure for measure in Measure if measure in words)


def require_annotations(measures: Iterable[Measure], photos: str | None) -> None:
    """Refuse to evaluate without annotations.

    Raises:
        BadInput: the photos are not those of a COCO JSON.
    """
    if Measure.EVALUATE in measures and not (photos and photos.lower().endswith(".json")):
        raise BadInput(
            "The measure evaluate compares masks with annotations, and the photos have none.",
            expected="a COCO JSON of instances, with its photos beside it or in images/",
            next_step="add --photos COCO.json",
        )
