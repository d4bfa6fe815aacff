"""Imports point down the layers only, and torch stays where models are."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import evidence_hpo

PACKAGE = Path(evidence_hpo.__file__).parent
LAYERS = [
    {"config"},
    {"data"},
    {"tokens", "augmentation"},
    {"models"},
    {"training"},
    {"search", "evaluation", "tracking"},
    {"reports", "reproduction"},
    {"steps", "cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0]
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "evidence_hpo" and len(parts) > 1 and parts[1] in RANK and parts[1] != own:
            assert RANK[parts[1]] < RANK.get(own, -1), f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_imported_by_models_and_training_only(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0]
    roots = {name.split(".")[0] for name in imported(path)}
    if own not in {"models", "training"}:
        assert "torch" not in roots


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_pickle_and_no_remote_code(path: Path) -> None:
    assert not imported(path) & {"pickle", "dill", "joblib", "shelve", "marshal"}
    source = path.read_text(encoding="utf-8")
    assert "trust_remote_code=True" not in source
    assert "torch.load" not in source
    assert "torch.save" not in source
