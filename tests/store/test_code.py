"""A code digest changes if and only if code that the module can reach changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.store import code, code_digest

SOURCES = {
    "__init__": "from edgekit import everything",
    "everything": "",
    "stage": "from edgekit.tables import rows\n\n\ndef run():\n    from edgekit import deep",
    "tables/__init__": "",
    "tables/rows": "import edgekit.layers",
    "layers": "if TYPE_CHECKING:\n    from edgekit.types import T",
    "types": "T = int",
    "deep": "NAMED = 'edgekit.unrelated is only mentioned'",
    "unrelated": "",
}
REACHED = {"stage", "tables/__init__", "tables/rows", "layers", "types", "deep"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in SOURCES.items():
        file = tmp_path / "edgekit" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "edgekit" / "tables" / "table.toml").write_text("a = 1")
    monkeypatch.setattr(code, "_ROOT", tmp_path)
    return tmp_path / "edgekit"


@pytest.mark.parametrize("changed", SOURCES)
def test_only_changes_in_reachable_modules_count(package: Path, changed: str) -> None:
    before = code_digest("edgekit.stage")
    with (package / f"{changed}.py").open("a") as file:
        file.write("\nadded = 1")
    assert (code_digest("edgekit.stage") != before) == (changed in REACHED)


def test_tables_beside_a_package_count(package: Path) -> None:
    before = code_digest("edgekit.stage")
    (package / "tables" / "table.toml").write_text("a = 2")
    assert code_digest("edgekit.stage") != before


def test_the_order_of_modules_does_not_count() -> None:
    names = ("edgekit.records", "edgekit.errors")
    assert code_digest(*names) == code_digest(*reversed(names))


@pytest.mark.parametrize(
    ("module", "some", "none"),
    [
        ("stages.graphs", "graph/passes/opset_13.py", "pipeline.py"),
        ("models.families.sam2", "models/encoders/hiera.py", "models/encoders/tiny_vit.py"),
        ("lowering.openvino", "runtimes/openvino.py", "lowering/litert/conversion.py"),
    ],
)
def test_stages_models_and_runtimes_reach_what_they_use(module: str, some: str, none: str) -> None:
    files = code.reachable_files(f"edgekit.{module}")
    names = {file.as_posix().rpartition("/edgekit/")[2] for file in files}
    assert some in names
    assert none not in names


@pytest.mark.parametrize(
    ("names", "message"), [(("edgekit.nonsense",), "nonsense"), ((), "at least one")]
)
def test_unknown_modules_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        code_digest(*names)
