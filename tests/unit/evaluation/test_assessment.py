"""The assessment: floors beside scores, warnings where they are due, nothing that a schema does not know."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evaluation_toys import (
    SCORERS,
    SETTINGS,
    TABLES,
    assessed,
    constant_floor,
    criteria_table,
    evaluation,
    evidence_table,
    same,
)

from evidence_hpo.config.evaluation import EvaluationSettings
from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.evaluation.artefact import assess_tasks, candidate_comparison
from evidence_hpo.evaluation.assessment import assess
from evidence_hpo.evaluation.calibration import brier_score, expected_calibration_error, reliability_bins
from evidence_hpo.evaluation.candidates import Candidate, compare_candidates
from evidence_hpo.evaluation.intervals import Resampler
from evidence_hpo.evaluation.predictions import Predictions, predictions_table
from evidence_hpo.schemas import check_artefact


def codes(task: str, table: pd.DataFrame, floor_table: pd.DataFrame | None = None) -> list[str]:
    floor = constant_floor(task)
    if floor_table is not None:
        floor = type(floor)(floor.name, floor.method, same(floor_table))
    scorer = SCORERS[task](Resampler(table["post_id"].tolist(), 200, 0), table)
    return [warning["code"] for warning in assess(scorer, {0: same(table)}, [floor], SETTINGS).warnings]


@pytest.mark.parametrize("architecture", ["criteria", "evidence", "share"])
@pytest.mark.parametrize("refits", [0, 2])
def test_the_evaluation_fits_its_schema(architecture: str, refits: int) -> None:
    check_artefact("evaluation", evaluation(architecture, refits=refits), "toy")


@pytest.mark.parametrize("task", ["criteria", "evidence"])
def test_a_good_model_clears_its_floor_without_warnings(task: str) -> None:
    found = assessed(task, skill=5.0)
    assert found.warnings == []
    gap = found.report["floors"][0]["differences"][found.report["headline"]["metric"]]
    assert gap["low"] > 0
    assert gap["excludes_zero"]


def test_a_model_that_says_one_class_is_flagged_as_collapsed() -> None:
    table = criteria_table()
    assert codes("criteria", table.assign(probability=0.01)) == ["collapsed", "chance", "not_above_floor"]
    evidence = evidence_table()
    assert codes("evidence", evidence.assign(span_score=-9.0)) == ["collapsed", "not_above_floor"]


def test_a_model_no_better_than_its_floor_is_flagged() -> None:
    table = criteria_table(skill=2.0)
    assert codes("criteria", table, floor_table=table) == ["not_above_floor"]


def test_a_model_that_ranks_by_chance_is_flagged_though_it_beats_the_majority_class() -> None:
    assert codes("criteria", criteria_table(200, skill=0.0), constant_floor("criteria", 200).predictions.test) == [
        "chance"
    ]


def test_confusion_sums_to_the_rows_and_agrees_with_the_scores() -> None:
    report = assessed("criteria").report
    cells = report["confusion"]["mean"]
    assert sum(cells.values()) == pytest.approx(report["rows"]["test"]["examples"])
    recall = cells["true_positives"] / report["rows"]["test"]["positives"]
    assert report["metrics"]["global"]["recall"]["mean"] == pytest.approx(recall, abs=1e-5)


def test_tuned_thresholds_are_applied_and_all_strategies_reported() -> None:
    # All probabilities are shifted below 0.5: without tuning the model would say no to everything.
    shifted = criteria_table(skill=5.0)
    shifted["probability"] = 0.4 * shifted["probability"]
    scorer = SCORERS["criteria"](Resampler(shifted["post_id"].tolist(), 200, 0), shifted)
    report = assess(scorer, {0: same(shifted)}, [constant_floor("criteria")], SETTINGS).report
    assert report["headline"]["thresholds"] == "global"
    assert report["metrics"]["none"]["recall"]["mean"] == 0.0
    assert report["metrics"]["global"]["macro_f1"]["mean"] > 0.9
    assert report["metrics"]["per_criterion"]["macro_f1"]["mean"] > 0.9


def test_evidence_has_no_threshold_for_each_criterion() -> None:
    settings = EvaluationSettings(bootstrap_repeats=200, thresholds="per_criterion")
    table = evidence_table()
    scorer = SCORERS["evidence"](Resampler(table["post_id"].tolist(), 200, 0), table)
    report = assess(scorer, {0: same(table)}, [constant_floor("evidence")], settings).report
    assert report["headline"]["thresholds"] == "global"


def test_metrics_of_a_criterion_without_positives_are_null() -> None:
    table = criteria_table()
    table.loc[table["criterion"] == "B", "label"] = 0
    scorer = SCORERS["criteria"](Resampler(table["post_id"].tolist(), 200, 0), table)
    rows = assess(scorer, {0: same(table)}, [constant_floor("criteria")], SETTINGS).report["by_criterion"]
    of_b = next(row for row in rows if row["criterion"] == "B")
    assert of_b["positives"] == 0
    assert of_b["metrics"]["f1"] is None


def test_a_criterion_with_positives_in_few_posts_has_no_interval() -> None:
    table = criteria_table()
    of_b = table.index[table["criterion"] == "B"]
    table.loc[of_b, "label"] = np.array([1] * 4 + [0] * (len(of_b) - 4), dtype=np.int8)
    scorer = SCORERS["criteria"](Resampler(table["post_id"].tolist(), 200, 0), table)
    rows = assess(scorer, {0: same(table)}, [constant_floor("criteria")], SETTINGS).report["by_criterion"]
    assert [row["metrics"]["f1"]["low"] is None for row in rows] == [False, True, False]


def test_models_and_floors_must_have_the_same_examples() -> None:
    fewer = criteria_table().iloc[:-1]
    with pytest.raises(DataError, match="e0119"):
        assess_tasks({"criteria": ({0: same(fewer)}, [constant_floor("criteria")])}, SETTINGS, 0)


def test_the_order_of_the_rows_changes_nothing() -> None:
    table = criteria_table()
    shuffled = table.sample(frac=1.0, random_state=0)
    floor = constant_floor("criteria")
    one = assess_tasks({"criteria": ({0: same(table)}, [floor])}, SETTINGS, 0)
    other = assess_tasks({"criteria": ({0: same(shuffled)}, [floor])}, SETTINGS, 0)
    assert one["criteria"].report == other["criteria"].report


def test_scores_that_are_not_finite_stop_the_evaluation() -> None:
    table = criteria_table()
    table.loc[4, "probability"] = np.nan
    with pytest.raises(TrainingError, match="probability is not finite for 1 examples, first e0004"):
        assess_tasks({"criteria": ({0: same(table)}, [constant_floor("criteria")])}, SETTINGS, 0)


def test_candidates_are_compared_in_pairs() -> None:
    better, noisy, failed = Candidate(2, [0.80, 0.71]), Candidate(0, [0.79, 0.70]), Candidate(1, [0.5, None])
    rows = compare_candidates(2, [noisy, failed, better], 0.95)
    assert [row["rank"] for row in rows] == [0, 1]
    # The seeds differ by 0.09, the pairs by nothing: the difference is certain.
    assert rows[0] | {"low": 0.01, "high": 0.01} == rows[0]
    assert rows[0]["excludes_zero"]
    assert rows[1] == {
        "rank": 1,
        "seeds": 1,
        "mean": 0.3,
        "sd": None,
        "low": None,
        "high": None,
        "excludes_zero": False,
    }


def test_candidates_that_no_seed_finished_are_left_out() -> None:
    def one(rank: int, mean: float | None) -> dict[str, object]:
        return {"rank": rank, "mean": mean, "seeds": [{"seed_index": 0, "value": mean}]}

    chosen = {"objective": "macro_f1", "chosen_rank": 1, "configurations": [one(0, None), one(1, 0.8), one(2, 0.7)]}
    assert [row["rank"] for row in candidate_comparison(chosen, 0.95)["against"]] == [2]


def test_calibration_by_hand() -> None:
    labels, probabilities = np.array([0, 1, 1, 1]), np.array([0.25, 0.25, 0.75, 1.0])
    filled = [item for item in reliability_bins(labels, probabilities) if item["count"]]
    assert [(item["low"], item["count"], item["positive_share"]) for item in filled] == [
        (0.2, 2, 0.5),
        (0.7, 1, 1.0),
        (0.9, 1, 1.0),
    ]
    assert expected_calibration_error(labels, probabilities) == pytest.approx((2 * 0.25 + 0.25 + 0) / 4)
    assert brier_score(labels, probabilities) == pytest.approx((0.0625 + 0.5625 + 0.0625 + 0) / 4)


def test_the_prediction_table_holds_ids_and_numbers_only() -> None:
    parts = {task: {3: Predictions(make(2), make(1))} for task, make in TABLES.items()}
    table = predictions_table(parts, {})
    assert table.column_names == [
        "example_id",
        "post_id",
        "criterion",
        "task",
        "role",
        "split",
        "seed",
        "label",
        "probability",
        "start",
        "end",
        "span_score",
        "null_score",
    ]
    frame = table.to_pandas()
    assert frame.groupby(["task", "split"]).size().to_dict() == {
        ("criteria", "test"): 3,
        ("criteria", "validation"): 6,
        ("evidence", "test"): 3,
        ("evidence", "validation"): 6,
    }
    assert frame[frame["task"] == "criteria"]["start"].isna().all()
