"""Metrics: worked by hand, and against scikit-learn."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from evidence_hpo.config.metrics import CRITERIA_METRICS, EVIDENCE_METRICS
from evidence_hpo.errors import TrainingError
from evidence_hpo.training.metrics import (
    area_under_curve,
    criteria_metrics,
    evidence_metrics,
    span_scores,
)

rows = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])), min_size=1, max_size=40
)
Span = tuple[int, int]
spans = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
examples = st.lists(st.tuples(st.lists(spans, max_size=3), st.none() | spans), min_size=1, max_size=20)


def test_names_are_those_of_the_configuration() -> None:
    assert tuple(criteria_metrics(np.array([0, 1]), np.array([0.2, 0.8]))) == CRITERIA_METRICS
    assert tuple(evidence_metrics([[(0, 1)]], [None])) == EVIDENCE_METRICS


def test_criteria_by_hand() -> None:
    # predicted 1 1 0 0: one true positive, one false positive, one false negative, one true negative, and one more
    labels = np.array([1, 0, 1, 0, 0])
    scores = criteria_metrics(labels, np.array([0.9, 0.5, 0.4, 0.1, 0.2]))
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["precision"] == pytest.approx(1 / 2)
    assert scores["recall"] == pytest.approx(1 / 2)
    assert scores["f1"] == pytest.approx(1 / 2)
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores["weighted_f1"] == pytest.approx((2 * 1 / 2 + 3 * 2 / 3) / 5)
    assert scores["roc_auc"] == pytest.approx(5 / 6)  # of six pairs only (0.4, 0.5) is in the wrong order


@given(rows)
def test_criteria_agree_with_scikit_learn(pairs: list[tuple[int, float]]) -> None:
    labels = np.array([label for label, _ in pairs])
    probabilities = np.array([probability for _, probability in pairs])
    predicted = (probabilities >= 0.5).astype(int)
    scores = criteria_metrics(labels, probabilities)
    expected = {"accuracy": sk.accuracy_score(labels, predicted)}
    for name, average in (("", "binary"), ("macro_", "macro"), ("weighted_", "weighted")):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            labels, predicted, labels=[1] if average == "binary" else [0, 1], average=average, zero_division=0
        )
        expected |= {f"{name}precision": precision, f"{name}recall": recall, f"{name}f1": f1}
    if 0 < labels.sum() < len(labels):
        expected["roc_auc"] = sk.roc_auc_score(labels, probabilities)
    assert {name: scores[name] for name in scores if name in expected} == pytest.approx(
        {name: value for name, value in expected.items() if name in scores}
    )


def test_area_under_curve_of_one_class_is_chance() -> None:
    assert area_under_curve(np.array([1, 1]), np.array([0.1, 0.9])) == 0.5
    assert area_under_curve(np.array([0, 0]), np.array([0.1, 0.9])) == 0.5


def test_a_threshold_of_its_own_for_each_row() -> None:
    labels, probabilities = np.array([1, 0, 1]), np.array([0.3, 0.3, 0.7])
    assert criteria_metrics(labels, probabilities, np.array([0.2, 0.4, 0.7]))["accuracy"] == 1.0


def test_nothing_to_score_and_scores_that_are_not_finite_are_errors() -> None:
    with pytest.raises(TrainingError, match="no examples"):
        criteria_metrics(np.array([]), np.array([]))
    with pytest.raises(TrainingError, match="1 of 2 predictions"):
        criteria_metrics(np.array([0, 1]), np.array([0.5, np.nan]))
    with pytest.raises(TrainingError, match="no examples"):
        evidence_metrics([], [])


@pytest.mark.parametrize(
    ("gold", "predicted", "precision", "recall", "f1", "exact"),
    [
        ([(0, 10)], (5, 15), 0.5, 0.5, 0.5, 0.0),
        ([(0, 10)], (0, 10), 1.0, 1.0, 1.0, 1.0),
        ([(0, 10)], (10, 20), 0.0, 0.0, 0.0, 0.0),  # they touch, but share no character
        ([(0, 10)], None, 0.0, 0.0, 0.0, 0.0),
        ([], (3, 4), 0.0, 0.0, 0.0, 0.0),
        ([], None, 1.0, 1.0, 1.0, 1.0),
        ([(0, 10), (20, 24)], (20, 28), 0.5, 1.0, 2 / 3, 0.0),
        ([(0, 10), (20, 24)], (20, 24), 1.0, 1.0, 1.0, 1.0),
        ([(0, 40), (10, 14)], (10, 20), 0.4, 1.0, 4 / 7, 0.0),  # the short span has the better f1, 4/7 against 2/5
    ],
)
def test_spans_by_hand(gold, predicted, precision, recall, f1, exact) -> None:  # type: ignore[no-untyped-def]
    scores = {name: value[0] for name, value in span_scores([gold], [predicted]).items()}
    assert scores == pytest.approx(
        {"char_precision": precision, "char_recall": recall, "char_f1": f1, "exact_match": exact}
    )


def test_evidence_by_hand() -> None:
    gold = [[(0, 10)], [(0, 10)], [], [], []]
    predicted = [(5, 15), None, None, None, (0, 3)]
    scores = evidence_metrics(gold, predicted)
    assert scores["char_f1"] == pytest.approx((0.5 + 0 + 1 + 1 + 0) / 5)
    assert scores["exact_match"] == pytest.approx(2 / 5)
    assert scores["has_answer"] == pytest.approx(3 / 5)
    assert scores["has_answer_char_f1"] == pytest.approx(0.25)
    assert scores["no_answer_accuracy"] == pytest.approx(2 / 3)


def squad_f1(gold: list[Span], predicted: Span | None) -> float:
    """The definition, character by character."""
    if not gold or predicted is None:
        return float(not gold and predicted is None)
    said = set(range(*predicted))
    overlaps = [(len(said & set(range(*span))), len(set(range(*span)))) for span in gold]
    return max(2 * common / (len(said) + size) for common, size in overlaps)


@given(examples)
def test_char_f1_is_the_best_overlap_of_character_sets(
    pairs: list[tuple[list[Span], Span | None]],
) -> None:
    gold, predicted = [spans for spans, _ in pairs], [span for _, span in pairs]
    scores = span_scores(gold, predicted)
    assert scores["char_f1"].tolist() == pytest.approx([squad_f1(*pair) for pair in pairs])
    harmonic = scores["char_precision"] + scores["char_recall"]
    product = 2 * scores["char_precision"] * scores["char_recall"]
    assert np.divide(product, harmonic, out=np.zeros_like(product), where=harmonic > 0) == pytest.approx(
        scores["char_f1"]
    )
    assert (scores["exact_match"] <= scores["char_f1"] + 1e-12).all()


def test_importing_the_metrics_loads_no_scikit_learn() -> None:
    code = "import sys, evidence_hpo.training.metrics; sys.exit('sklearn' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
