"""Thresholds: the optimum is found, ties and fallbacks are as documented, the test split plays no part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evaluation_toys import SETTINGS, constant_floor, criteria_table, evidence_table
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_hpo.evaluation.assessment import assess
from evidence_hpo.evaluation.intervals import Resampler
from evidence_hpo.evaluation.predictions import Predictions, answer_scores, best_spans, gold_spans
from evidence_hpo.evaluation.scorers import CriteriaScorer
from evidence_hpo.evaluation.thresholds import CriteriaThresholds, tune_criteria, tune_evidence
from evidence_hpo.training.metrics import criteria_metrics, evidence_metrics

rows = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1, width=16)), min_size=1, max_size=30)


def table(labels: list[int], probabilities: list[float], criterion: str = "A") -> pd.DataFrame:
    return pd.DataFrame({"criterion": criterion, "label": labels, "probability": probabilities})


@given(rows)
def test_no_other_threshold_is_better(pairs: list[tuple[int, float]]) -> None:
    labels, probabilities = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    threshold = tune_criteria(table(labels, probabilities)).overall

    def macro_f1(at: float) -> float:
        return criteria_metrics(np.array(labels), np.array(probabilities), at)["macro_f1"]

    # No value but these changes a decision; a threshold beyond all probabilities is not offered below 0.05 or above
    # 0.95, where one of the grid's ends says the same of everything that can be told apart.
    others = [0.05, 0.5, 0.95, *[value for value in probabilities if 0.05 <= value <= 0.95]]
    assert macro_f1(threshold) >= max(map(macro_f1, others)) - 1e-9


def test_of_equally_good_thresholds_the_nearest_to_the_default_is_taken() -> None:
    assert tune_criteria(table([0, 1], [0.1, 0.9])).overall == 0.5
    assert tune_criteria(table([0, 1], [0.7, 0.9])).overall == pytest.approx(0.75)
    assert tune_criteria(table([0, 0, 1], [0.2, 0.3, 0.31])).overall == pytest.approx(0.305)


def test_a_criterion_with_too_little_validation_data_uses_the_global_threshold() -> None:
    parts = [
        table([0, 1] * 10, [0.1, 0.2] * 10, "plenty"),
        table([0, 1] * 5, [0.6, 0.9] * 5, "scarce"),
        table([0] * 30, [0.1] * 30, "one_class"),
    ]
    thresholds = tune_criteria(pd.concat(parts, ignore_index=True))
    assert set(thresholds.by_criterion) == {"plenty"}
    assert thresholds.by_criterion["plenty"] == pytest.approx(0.2)
    assert thresholds.fallbacks == {
        "scarce": "10 validation rows, fewer than 20",
        "one_class": "one class only in the validation rows",
    }
    used = thresholds.of("per_criterion", np.array(["plenty", "scarce", "unseen"], dtype=object))
    assert used.tolist() == [thresholds.by_criterion["plenty"], thresholds.overall, thresholds.overall]


def test_strategy_none_is_the_default_threshold() -> None:
    thresholds = CriteriaThresholds(0.3, {"A": 0.9})
    assert thresholds.of("none", np.array(["A"], dtype=object)).tolist() == [0.5]
    assert thresholds.of("global", np.array(["A"], dtype=object)).tolist() == [0.3]


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0, 4))
def test_no_other_null_threshold_is_better(seed: int, skill: float) -> None:
    validation = evidence_table(8, skill=skill, seed=seed)

    def char_f1(at: float) -> float:
        given_ = answer_scores(validation) > at
        spans = [span if keep else None for span, keep in zip(best_spans(validation), given_, strict=True)]
        return evidence_metrics(gold_spans(validation), spans)["char_f1"]

    threshold = tune_evidence(validation).overall
    others = [0.0, -100.0, 100.0, *answer_scores(validation)]
    assert char_f1(threshold) >= max(map(char_f1, others)) - 1e-9


def test_a_tie_of_null_thresholds_keeps_zero() -> None:
    validation = evidence_table(8)
    separated = validation.assign(span_score=[5.0 if gold else -5.0 for gold in validation["gold"]])
    assert tune_evidence(separated).overall == 0.0


def test_thresholds_do_not_depend_on_the_test_split() -> None:
    validation, test = criteria_table(seed=3), criteria_table(seed=4)
    other = test.assign(label=1 - test["label"], probability=1 - test["probability"])

    def tuned(part: pd.DataFrame) -> object:
        scorer = CriteriaScorer(Resampler(part["post_id"].tolist(), 200, 0), part)
        return assess(scorer, {0: Predictions(validation, part)}, [constant_floor("criteria")], SETTINGS).report[
            "thresholds"
        ]

    assert tuned(test) == tuned(other)
