"""A change of behaviour in a module changes the digest of exactly those that import it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import evidence_hpo
from evidence_hpo.code_digest import PackageCode

ROOT = Path(evidence_hpo.__file__).parent
CODE = PackageCode(ROOT, ROOT / "nothing is kept" / "here.json")
STEPS = sorted(path.stem for path in (ROOT / "steps").glob("*.py") if path.stem != "__init__")
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
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    root = tmp_path / "evidence_hpo"
    (root / "deep").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "deep" / "__init__.py").write_text("")
    (root / "deep" / "leaf.py").write_text('"""Doc."""\n\ndef f():\n    """Doc."""\n    return 1\n')
    (root / "user.py").write_text("def g():\n    from evidence_hpo.deep.leaf import f\n    return f()\n")
    (root / "other.py").write_text("import json\n")
    return root


def kept(root: Path) -> Path:
    return root / "__pycache__" / "code.json"


def digests(root: Path) -> dict[str, str]:
    code = PackageCode(root, kept(root))
    return {name: code.digest(f"evidence_hpo.{name}") for name in ("user", "other", "deep.leaf")}


def test_change_reaches_importers_even_through_imports_inside_functions(root: Path) -> None:
    before = digests(root)
    (root / "deep" / "leaf.py").write_text("def f():\n    return 2\n")
    after = digests(root)
    assert before["user"] != after["user"]
    assert before["deep.leaf"] != after["deep.leaf"]
    assert before["other"] == after["other"]


def test_comments_docstrings_and_layout_change_nothing(root: Path) -> None:
    before = digests(root)
    (root / "deep" / "leaf.py").write_text('"""Other."""\n# comment\ndef f():\n\n    return (1)\n')
    assert digests(root) == before


def test_change_within_the_same_second_and_of_the_same_size_is_seen(root: Path) -> None:
    leaf = root / "deep" / "leaf.py"
    before, times = digests(root), leaf.stat()
    leaf.write_text(leaf.read_text().replace("return 1", "return 2"))
    os.utime(leaf, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digests(root)["user"] != before["user"]


def test_module_that_appears_is_followed(root: Path) -> None:
    (root / "other.py").write_text("from evidence_hpo.deep import late\n")
    before = digests(root)
    (root / "deep" / "late.py").write_text("x = 1\n")
    assert digests(root)["other"] != before["other"]


def test_second_process_parses_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(root)
    with monkeypatch.context() as patched:
        patched.delattr(ast, "parse")
        assert digests(root) == before


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"reader": 1}', "truncated", "other reader"])
def test_kept_readings_that_do_not_hold_are_read_anew(root: Path, damage: str) -> None:
    before = digests(root)
    whole = kept(root).read_text()
    readings = json.loads(whole)
    for one in readings["sources"].values():
        one["tree"] = "wrong"
    other = json.dumps(readings | {"reader": "another Python"})
    kept(root).write_text({"truncated": whole[: len(whole) // 2], "other reader": other}.get(damage, damage))
    assert digests(root) == before


def test_folder_that_takes_no_file_costs_time_only(root: Path) -> None:
    (root / "__pycache__").write_text("a file, so no folder")
    assert digests(root) == digests(root)


def test_nothing_is_kept_where_python_keeps_no_bytecode(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    digests(root)
    assert not kept(root).exists()


def test_unknown_module_is_named(root: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"evidence_hpo\.none"):
        PackageCode(root, kept(root)).digest("evidence_hpo.none")


@pytest.mark.parametrize("step", STEPS)
def test_closure_holds_every_module_of_the_package_that_the_step_loads(step: str) -> None:
    program = (
        f"import sys, evidence_hpo.steps.{step};"
        "print(*(name for name in sys.modules if name.startswith('evidence_hpo')), sep='\\n')"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    closure = CODE.closure(f"evidence_hpo.steps.{step}")
    missing = set(loaded) - closure - {"evidence_hpo", "evidence_hpo.steps"}
    assert not missing


@pytest.mark.parametrize("step", sorted(set(STEPS) - TORCH_STEPS))
def test_step_without_training_loads_no_torch(step: str) -> None:
    program = f"import sys, evidence_hpo.steps.{step}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("step", STEPS)
def test_step_is_one_function_of_its_own_name(step: str) -> None:
    source = (ROOT / "steps" / f"{step}.py").read_text(encoding="utf-8")
    functions = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    assert [name for name in functions if not name.startswith("_")] == [step]


@pytest.mark.parametrize("step", STEPS)
def test_steps_do_not_import_each_other(step: str) -> None:
    closure = CODE.closure(f"evidence_hpo.steps.{step}")
    others = {name for name in closure if name.startswith("evidence_hpo.steps.")} - {f"evidence_hpo.steps.{step}"}
    assert not others
