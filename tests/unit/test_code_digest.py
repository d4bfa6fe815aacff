"""A change of behaviour in a module changes the digest of exactly those that import it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from evidence_hpo import code_digest

STEPS = sorted(
    path.stem for path in (Path(code_digest.__file__).parent / "steps").glob("*.py") if path.stem != "__init__"
)
TORCH_STEPS = {
    "prepare_backbone",
    "tokenize_examples",
    "run_trials",
    "retrain_config",
    "refit_chosen",
    "retrain_chosen",
    "evaluate",
    "export_model",
    "train_model",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "evidence_hpo"
    (root / "deep").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "deep" / "__init__.py").write_text("")
    (root / "deep" / "leaf.py").write_text('"""Doc."""\n\ndef f():\n    """Doc."""\n    return 1\n')
    (root / "user.py").write_text("def g():\n    from evidence_hpo.deep.leaf import f\n    return f()\n")
    (root / "other.py").write_text("import json\n")
    monkeypatch.setattr(code_digest, "_ROOT", root)
    for cached in (code_digest._tree, code_digest._module_digest, code_digest._imports):
        cached.cache_clear()
    yield root
    for cached in (code_digest._tree, code_digest._module_digest, code_digest._imports):
        cached.cache_clear()


def digests() -> dict[str, str]:
    for cached in (code_digest._tree, code_digest._module_digest, code_digest._imports):
        cached.cache_clear()
    return {name: code_digest.code_digest(f"evidence_hpo.{name}") for name in ("user", "other", "deep.leaf")}


def test_change_reaches_importers_even_through_imports_inside_functions(package: Path) -> None:
    before = digests()
    (package / "deep" / "leaf.py").write_text("def f():\n    return 2\n")
    after = digests()
    assert before["user"] != after["user"]
    assert before["deep.leaf"] != after["deep.leaf"]
    assert before["other"] == after["other"]


def test_comments_docstrings_and_layout_change_nothing(package: Path) -> None:
    before = digests()
    (package / "deep" / "leaf.py").write_text('"""Other."""\n# comment\ndef f():\n\n    return (1)\n')
    assert digests() == before


@pytest.mark.parametrize("step", STEPS)
def test_closure_holds_every_module_of_the_package_that_the_step_loads(step: str) -> None:
    program = (
        f"import sys, evidence_hpo.steps.{step};"
        "print(*(name for name in sys.modules if name.startswith('evidence_hpo')), sep='\\n')"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    closure = code_digest.import_closure(f"evidence_hpo.steps.{step}")
    missing = set(loaded) - closure - {"evidence_hpo", "evidence_hpo.steps"}
    assert not missing


@pytest.mark.parametrize("step", sorted(set(STEPS) - TORCH_STEPS))
def test_step_without_training_loads_no_torch(step: str) -> None:
    program = f"import sys, evidence_hpo.steps.{step}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("step", STEPS)
def test_step_is_one_function_of_its_own_name(step: str) -> None:
    source = (Path(code_digest.__file__).parent / "steps" / f"{step}.py").read_text(encoding="utf-8")
    functions = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    assert [name for name in functions if not name.startswith("_")] == [step]


@pytest.mark.parametrize("step", STEPS)
def test_steps_do_not_import_each_other(step: str) -> None:
    closure = code_digest.import_closure(f"evidence_hpo.steps.{step}")
    others = {name for name in closure if name.startswith("evidence_hpo.steps.")} - {f"evidence_hpo.steps.{step}"}
    assert not others
