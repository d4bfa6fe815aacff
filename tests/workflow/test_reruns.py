"""A change reruns exactly what depends on it, and never trains a finished trial again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.study import TINY, Study, overlay
from tests.workflow.test_reproducibility import differing

pytestmark = pytest.mark.workflow

REPORTS = {"report_evaluation": 1, "summarize_study": 1, "plot_evaluation": 1, "export_model": 1}
EVALUATION = {"evaluate": 1, **REPORTS}
FINAL = {"choose_config": 1, "analyse_search": 1, "retrain_chosen": 1, "summarize_retraining": 1, **EVALUATION}
RETRAIN = {"select_configs": 1, "retrain_config": 2, **FINAL}
SEARCH = {"run_trials": 2, "collect_trials": 1, "plot_search": 1, "export_study": 1, **RETRAIN}
# Cost and overview tell of everything that ran, so they follow every change.
LAST = {"report_cost": 1, "write_overview": 1}
# The picture of the graph and the resolved configuration belong to the whole configuration.
PICTURE = {"draw_dag": 1, "write_configuration": 1, **LAST}

CONFIGURATION_CHANGES: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("nothing", {}, {}),
    ("bootstrap repeats", {"evaluation.bootstrap_repeats": 150}, {**EVALUATION, **PICTURE}),
    ("checkpoints", {"training.checkpoints": {"keep_last_n": 1}}, {}),
    ("one more final seed", {"retrain.final_seeds": 2}, {"retrain_chosen": 1, "summarize_retraining": 1, **EVALUATION}),
    ("refits", {"retrain.refit_seeds": 2}, {"refit_chosen": 2, "summarize_retraining": 1, **EVALUATION}),
    ("one more seed", {"retrain.seeds": 2}, {"retrain_config": 2, **FINAL}),
    (
        "epochs of stage 2",
        {"search.stages.1.epochs": 3},
        {"propose_trials": 2, **SEARCH},
    ),
    (
        "one more round of stage 2",
        {"search.stages.1.trials": 6},
        {"propose_trials": 1, **SEARCH, "run_trials": 1},
    ),
    (
        "narrowing",
        {"search.stages.1.narrowing": {"margin": 0.5}},
        {"narrow_space": 1, "propose_trials": 2, **SEARCH},
    ),
]


@pytest.mark.parametrize(("name", "changes", "expected"), CONFIGURATION_CHANGES, ids=lambda item: str(item)[:25])
def test_configuration_change_reruns_what_depends_on_it(
    finished: Study, name: str, changes: dict[str, Any], expected: dict[str, int]
) -> None:
    changed = Study(finished.repository, finished.folder, overlay(TINY, changes))
    planned = changed.planned()
    assert planned == ({**expected, **PICTURE} if changes else {})


CODE_CHANGES = [
    ("evaluation/intervals.py", {"analyse_search": 1, "plot_search": 1, **EVALUATION, **LAST}),
    (
        "search/narrowing.py",
        {"narrow_space": 1, "propose_trials": 2, **SEARCH, **LAST},
    ),
    ("evaluation/usage.py", {"export_model": 1, **LAST}),
    ("dag.py", {"draw_dag": 1, **LAST}),
    ("reports/overview.py", {"write_overview": 1}),
]


@pytest.fixture
def module(finished: Study, request: pytest.FixtureRequest) -> Any:
    """A module of the workflow's copy, put back after the test."""
    path: Path = finished.repository / "src" / "evidence_hpo" / request.param
    original = path.read_text(encoding="utf-8")
    yield path
    path.write_text(original, encoding="utf-8")


@pytest.mark.parametrize(("module", "expected"), CODE_CHANGES, indirect=["module"], ids=[c[0] for c in CODE_CHANGES])
def test_module_change_reruns_what_imports_it(finished: Study, module: Path, expected: dict[str, int]) -> None:
    original = module.read_text(encoding="utf-8")
    module.write_text(original + "\n# a comment\n", encoding="utf-8")
    assert finished.planned() == {}, "a comment reruns nothing"
    module.write_text(original + "\n_ADDED = 1\n", encoding="utf-8")
    assert finished.planned() == expected


def test_other_shards_train_no_finished_trial_again(finished: Study, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished.folder, folder, symlinks=True)
    study = Study(
        finished.repository, folder, overlay(TINY, {"search.stages.0.shards": 3, "search.stages.1.shards": 2})
    )
    cache = folder / "results/work/trials"
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("record.json")}
    assert len(before) >= 6 + 4
    study.run("--cores", "2")
    after = {path: path.stat().st_mtime_ns for path in cache.rglob("record.json")}
    assert after == before
    assert differing(finished, study) == []
