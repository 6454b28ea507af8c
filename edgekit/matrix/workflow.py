"""A GitHub workflow that runs a matrix in a user's repository.

It runs the action of edgekit's repository, `.github/actions/edgekit`: on a machine of GitHub for
the targets that need no device, and on a runner of the user's for each kind of device.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edgekit import catalog
from edgekit.catalog.runtimes import runtime_row
from edgekit.errors import BadInput, RuntimeMissing
from edgekit.matrix.config import RESULTS, Config
from edgekit.matrix.selection import require_weights, selected_models, selected_targets
from edgekit.records import Target
from edgekit.store import write_atomic
from edgekit.version import __version__

WORKFLOW = Path(".github/workflows/edgekit-matrix.yml")

HOSTED = "ubuntu-latest"
"""GitHub's own machine: x86-64, without a GPU."""

_TEMPLATE = Path(__file__).with_name("workflow.yml.jinja")
_ACTION = re.compile(r"(\w[\w.-]*/\w[\w.-]*)@(\w[\w./-]*)")
_PATH = re.compile(r"(?!/)[\w./-]+")
_WORDS = re.compile(r"[\w.,*?!\[\] -]*")
"""Names and globs. GitHub would compute an expression in braces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A kind of machine that runs jobs, by its label, and the targets that it runs.

    `asked` are these targets as `--targets` takes them: names, and files in the repository.
    """

    label: str
    targets: tuple[Target, ...]
    asked: tuple[str, ...]

    @property
    def own(self) -> bool:
        """Whether the user has to set it up."""
        return self.label != HOSTED

    @property
    def devices(self) -> str:
        """Its targets' devices, in words."""
        return " or ".join(dict.fromkeys(target.device for target in self.targets))

    @property
    def runtimes(self) -> str:
        """What has to be installed on it: "TensorRT >=10.3,<12"."""
        titles = (f"{runtime_row(t.runtime).title} {t.runtime_versions}" for t in self.targets)
        return " and ".join(dict.fromkeys(titles))


def write_workflow(config: Config, *, action: str, config_file: Path | None = None) -> Path:
    """Write `WORKFLOW` in the working directory; returns its path.

    Args:
        config: models, targets, measures and the results folder.
        action: edgekit's repository and a tag, branch or commit: "OWNER/REPOSITORY@REF".
        config_file: a configuration in the user's repository with weights, photos and limits.

    Raises:
        BadInput: the file is there already or cannot be written; or as `workflow_from`.
        UnknownName, RuntimeMissing: as `workflow_from`.
    """
    text = workflow_from(config, action=action, config_file=config_file)
    if WORKFLOW.exists():
        raise BadInput(
            f"{WORKFLOW} is there already, and may have changes of yours.",
            expected="a repository without it",
            next_step=f"keep it under another name: mv {WORKFLOW} {WORKFLOW.with_suffix('.old')}",
        )
    try:
        WORKFLOW.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"The folder {WORKFLOW.parent} cannot be made: {error.strerror}.",
            expected="a working directory that can be written",
        ) from error
    write_atomic(WORKFLOW, text)
    return WORKFLOW


def workflow_from(config: Config, *, action: str, config_file: Path | None = None) -> str:
    """The workflow as YAML; see `write_workflow`.

    Raises:
        UnknownName: a name or glob means no model or target; the nearest names are suggested.
        BadInput: the action or a path cannot be meant.
        RuntimeMissing: jinja2 is not installed.
    """
    repository, ref = _repository_and_ref(action)
    paths = [_path_in_repository(path) for path in (config.results or RESULTS, config_file or "")]
    models = config.models or ("canary",)
    selected_models(models)
    if not all(map(_WORDS.fullmatch, models)):
        raise BadInput(
            f"The workflow cannot use the models {','.join(models)!r}.",
            expected="names, and globs of letters, digits and . _ - * ? [ ]",
        )
    require_weights(config.weights)
    targets = selected_targets(config.targets or ("canary",))
    return _rendered(
        action=f"{repository}/.github/actions/edgekit@{ref}",
        config=paths[1],
        measure=",".join(config.measure or ("verify",)),
        models=",".join(models),
        results=paths[0],
        runners=runners_for(targets),
    )


def runners_for(asked: Iterable[str]) -> tuple[Runner, ...]:
    """The machines that run these targets, GitHub's own first.

    Raises:
        BadInput: the file of a target is not in the repository.
    """
    by_label: dict[str, dict[str, Target]] = {HOSTED: {}}
    for word in map(_path_in_repository, asked):
        target = catalog.target_or_file(word)
        by_label.setdefault(target.label if target.self_hosted else HOSTED, {})[word] = target
    return tuple(
        Runner(label=label, targets=tuple(found.values()), asked=tuple(found))
        for label, found in by_label.items()
        if found
    )


def _repository_and_ref(action: str) -> tuple[str, str]:
    match = _ACTION.fullmatch(action)
    if match is None:
        raise BadInput(
            f"--action {action!r} is not a repository on GitHub.",
            expected="edgekit's repository and a tag, branch or commit: OWNER/edgekit@REF",
        )
    return match[1], match[2]


def _path_in_repository(path: Path | str) -> str:
    text = str(path)
    if text and (".." in text.split("/") or not _PATH.fullmatch(text)):
        raise BadInput(
            f"The workflow cannot use the path {text!r}.",
            expected="a path in the repository, relative to its root: letters, digits and . _ - /",
        )
    return text


def _rendered(**values: object) -> str:
    if find_spec("jinja2") is None:
        raise RuntimeMissing(
            "The workflow needs jinja2, which is not installed.",
            next_step="pip install 'edgekit[report]'",
        )
    from jinja2 import Environment, StrictUndefined

    # GitHub's own expressions are in braces.
    environment = Environment(
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(version=__version__, **values)
