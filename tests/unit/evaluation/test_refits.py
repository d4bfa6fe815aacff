"""Refits are scored beside the final models, at thresholds that they had no part in, and change nothing of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluation_toys import (
    DIGEST,
    SCORERS,
    SETTINGS,
    TABLES,
    assessed,
    constant_floor,
    criteria_table,
    evaluation,
    refit_record,
    same,
)

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.artefact import assess_tasks, evaluation_artefact
from evidence_hpo.evaluation.assessment import assess
from evidence_hpo.evaluation.intervals import Resampler
from evidence_hpo.evaluation.models import FinalModel
from evidence_hpo.evaluation.predictions import predictions_table
from evidence_hpo.evaluation.refits import Refits
from evidence_hpo.evaluation.thresholds import CriteriaThresholds, EvidenceThreshold, mean_criteria, mean_evidence
from evidence_hpo.schemas import check_artefact

TASKS = pytest.mark.parametrize("task", ["criteria", "evidence"])


@TASKS
def test_a_refit_like_the_only_final_model_differs_by_nothing(task: str) -> None:
    found = assessed(task, seeds=1, refits={0: TABLES[task](skill=3.0, seed=10)})
    assert found.refit is not None
    nothing = {"mean": 0.0, "low": 0.0, "high": 0.0, "excludes_zero": False}
    assert all(gap == nothing for gap in found.refit.report["differences"].values())
    assert found.refit.report["metrics"] == found.report["metrics"]
    for own, final in zip(found.refit.report["floors"], found.report["floors"], strict=True):
        assert (own["name"], own["differences"]) == (final["name"], final["differences"])


@TASKS
def test_refits_change_nothing_of_the_final_models(task: str) -> None:
    without = assessed(task)
    beside = assessed(task, refits={0: TABLES[task](skill=0.0, seed=30)})
    assert without.refit is None
    assert beside.report == without.report
    assert beside.warnings == without.warnings


@TASKS
def test_a_refit_decides_at_the_mean_of_the_final_models_thresholds(task: str) -> None:
    table = TABLES[task](skill=2.0, seed=30)
    found = assessed(task, seeds=3, refits={4: table})
    assert found.refit is not None
    per_seed = found.report["thresholds"]["per_seed"]
    mean = float(np.mean([one["global"] for one in per_seed]))
    assert found.refit.report["thresholds"]["global"] == pytest.approx(mean)
    assert len({one["global"] for one in per_seed}) > 1
    scorer = SCORERS[task](Resampler(table["post_id"].tolist(), SETTINGS.bootstrap_repeats, 0), table)
    at = CriteriaThresholds(mean) if task == "criteria" else EvidenceThreshold(mean)
    score = found.refit.report["headline"]["score"]
    expected = scorer.scored(table, at)["global"].overall[scorer.objective][0]
    assert score["mean"] == pytest.approx(expected, abs=1e-6)
    assert score["per_seed"] == [score["mean"]]


def test_means_of_thresholds_by_hand() -> None:
    one = CriteriaThresholds(0.4, {"A": 0.2}, {"B": "few rows"})
    other = CriteriaThresholds(0.6, {"A": 0.5}, {"B": "few rows"})
    assert mean_criteria([one, other]) == CriteriaThresholds(0.5, {"A": 0.35}, {"B": "few rows"})
    assert mean_evidence([EvidenceThreshold(-1.0), EvidenceThreshold(4.0)]) == EvidenceThreshold(1.5)


@TASKS
def test_the_difference_is_paired_over_the_resamples(task: str) -> None:
    found = assessed(task, seeds=2, refits={0: TABLES[task](skill=6.0, seed=30), 1: TABLES[task](skill=6.0, seed=31)})
    assert found.refit is not None
    metric = found.report["headline"]["metric"]
    refit, final = found.refit.report["headline"]["score"], found.report["headline"]["score"]
    gap = found.refit.report["differences"][metric]
    assert gap["mean"] == pytest.approx(refit["mean"] - final["mean"], abs=2e-6)
    draws = found.refit.objective.mean(axis=0) - found.objective.mean(axis=0)
    assert (gap["low"], gap["high"]) == pytest.approx(tuple(np.quantile(draws[1:], [0.025, 0.975])), abs=1e-6)


def test_a_refit_that_collapses_is_warned_of_in_its_own_section() -> None:
    silent = criteria_table().assign(probability=0.01)
    scorer = SCORERS["criteria"](Resampler(silent["post_id"].tolist(), 200, 0), silent)
    models = {0: same(criteria_table(skill=5.0))}
    found = assess(scorer, models, [constant_floor("criteria")], SETTINGS, {0: silent})
    assert found.refit is not None
    assert found.warnings == []
    assert [warning["code"] for warning in found.refit.warnings] == ["collapsed", "chance", "not_above_floor"]
    assert "the refit of seed 0 predicts the negative class" in found.refit.warnings[0]["message"]


def refits_of(tables: dict[str, pd.DataFrame]) -> Refits:
    return Refits([FinalModel(Path("refit_0"), refit_record(0))], {task: {0: table} for task, table in tables.items()})


def test_the_order_of_a_refits_rows_changes_nothing_and_other_rows_are_refused() -> None:
    table = criteria_table(skill=4.0, seed=30)
    tasks = {"criteria": ({0: same(criteria_table())}, [constant_floor("criteria")])}
    one, other = (
        assess_tasks(tasks, SETTINGS, 0, refits_of({"criteria": rows}))["criteria"].refit
        for rows in (table, table.sample(frac=1.0, random_state=0))
    )
    assert one is not None
    assert other is not None
    assert one.report == other.report
    with pytest.raises(DataError, match=r"refit, criteria, test split.*e0119"):
        assess_tasks(tasks, SETTINGS, 0, refits_of({"criteria": table.iloc[:-1]}))


def test_the_section_names_models_thresholds_and_the_mean_of_both_tasks() -> None:
    section = evaluation("share", refits=2)["refit"]
    assert section["seeds"] == [0, 1]
    assert section["trained_on"] == ["train", "validation"]
    assert section["thresholds_from"] == "mean_of_final_models"
    assert [model["training_seed"] for model in section["models"]] == [200, 201]
    assert section["models"][0]["checkpoint"]["sha256"] == DIGEST
    means = [task["headline"]["score"]["mean"] for task in section["tasks"].values()]
    gaps = [task["differences"][task["headline"]["metric"]]["mean"] for task in section["tasks"].values()]
    assert section["combined"]["score"]["mean"] == pytest.approx(sum(means) / 2, abs=2e-6)
    assert section["combined"]["difference"]["mean"] == pytest.approx(sum(gaps) / 2, abs=2e-6)


def test_the_artefact_holds_the_section_and_fits_its_schema() -> None:
    record: dict[str, Any] = {
        **refit_record(0),
        **{"value": 0.8, "objective": "macro_f1", "best_epoch": 2.0, "parameters": {"dropout": 0.1}},
        **{"effective_batch_size": 16, "effective_learning_rate": 1e-3, "versions": {"python": "3.11"}},
    }
    origin = {"stage": "stage1", "number": 1}
    chosen = {
        **{"study": "toy", "architecture": "criteria", "objective": "macro_f1", "chosen_rank": 0},
        "configuration": {"origin": origin},
        "configurations": [{"rank": 0, "mean": 0.8, "seeds": [{"seed_index": 0, "value": 0.8}]}],
    }
    splits = {split: {"criteria": DIGEST} for split in ("train", "validation", "test")}
    digests = {**dict.fromkeys(("backbone", "code", "predictions"), DIGEST), **splits}
    tasks = {"criteria": ({0: same(criteria_table())}, [constant_floor("criteria")])}
    finals = [FinalModel(Path("seed_0"), record)]
    found = {}
    for name, refits in {"without": None, "with": refits_of({"criteria": criteria_table(seed=30)})}.items():
        found[name] = evaluation_artefact(chosen, finals, tasks, digests, SETTINGS, 0, refits)
        check_artefact("evaluation", found[name], "toy")
    assert found["without"]["refit"] is None
    assert found["with"] | {"refit": None} == found["without"], "nothing else is of the refits"


def test_predictions_of_refits_are_told_apart_and_of_the_test_split_alone() -> None:
    table = predictions_table({"criteria": {0: same(criteria_table(2))}}, {"criteria": {0: criteria_table(2, seed=9)}})
    counts = table.to_pandas().groupby(["role", "split"]).size().to_dict()
    assert counts == {("final", "test"): 6, ("final", "validation"): 6, ("refit", "test"): 6}
