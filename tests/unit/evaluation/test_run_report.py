"""The classification report of one run agrees with scikit-learn's, and says how well spans fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from evidence_hpo.evaluation.evaluation_plots import run_confusion_figure
from evidence_hpo.evaluation.figures import write_png
from evidence_hpo.evaluation.run_report import classification_report, scores_of
from evidence_hpo.schemas import check_artefact


def criteria_table(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, rows)
    return pd.DataFrame(
        {
            "example_id": [f"e{n}" for n in range(rows)],
            "post_id": [f"p{n // 3}" for n in range(rows)],
            "criterion": [("SLEEP", "MOOD", "RARE")[n % 3] for n in range(rows)],
            "label": labels,
            "probability": np.clip(0.3 * labels + 0.7 * rng.random(rows), 0, 1),
        }
    )


def evidence_table() -> pd.DataFrame:
    gold = [[[0, 10]], [[5, 15]], [], []]
    spans = [(0, 10, 2.0), (10, 20, 1.0), (0, 4, 1.0), (0, 4, -1.0)]
    return pd.DataFrame(
        {
            "example_id": [f"e{n}" for n in range(4)],
            "post_id": [f"p{n}" for n in range(4)],
            "criterion": ["SLEEP", "MOOD", "SLEEP", "MOOD"],
            "gold": gold,
            "start": [one[0] for one in spans],
            "end": [one[1] for one in spans],
            "span_score": [one[2] for one in spans],
            "null_score": [0.0] * 4,
        }
    )


def test_both_classes_and_each_criterion_are_scored_as_scikit_learn_does() -> None:
    table = criteria_table()
    report = classification_report({"criteria": table})["tasks"]["criteria"]
    for part, found in [
        (table, report),
        *((rows, report["by_criterion"][str(c)]) for c, rows in table.groupby("criterion")),
    ]:
        said = (part["probability"] >= 0.5).astype(int)
        expected = metrics.classification_report(part["label"], said, output_dict=True, zero_division=0)
        for name, label in (("met", "1"), ("not met", "0")):
            own = found["classes"][name]
            assert own["support"] == expected[label]["support"]
            assert own["precision"] == pytest.approx(expected[label]["precision"], abs=1e-6)
            assert own["recall"] == pytest.approx(expected[label]["recall"], abs=1e-6)
            assert own["f1"] == pytest.approx(expected[label]["f1-score"], abs=1e-6)
        assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
        assert found["macro_f1"] == pytest.approx(expected["macro avg"]["f1-score"], abs=1e-6)
        assert found["weighted_f1"] == pytest.approx(expected["weighted avg"]["f1-score"], abs=1e-6)
        cells = metrics.confusion_matrix(part["label"], said, labels=[1, 0])
        assert list(found["confusion"].values()) == [cells[0, 0], cells[1, 0], cells[0, 1], cells[1, 1]]


def test_spans_count_as_given_or_not_and_by_their_characters() -> None:
    report = classification_report({"evidence": evidence_table()})
    check_artefact("run_report", report, "report")
    task = report["tasks"]["evidence"]
    assert list(task["confusion"].values()) == [2, 1, 0, 1]
    assert task["classes"]["span"] == {
        "precision": pytest.approx(2 / 3, abs=1e-6),
        "recall": 1.0,
        "f1": 0.8,
        "support": 2,
    }
    assert task["metrics"]["exact_match"] == 0.5
    assert task["metrics"]["char_f1"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert task["metrics"]["no_answer_accuracy"] == 0.5


def test_two_tasks_have_their_mean_and_a_panel_each(tmp_path: Path) -> None:
    tables = {"criteria": criteria_table(), "evidence": evidence_table()}
    scores = scores_of(tables)
    assert scores["mean_macro_f1_char_f1"] == (scores["macro_f1"] + scores["char_f1"]) / 2
    figure = run_confusion_figure(classification_report(tables))
    assert [axes.get_title() for axes in figure.axes] == [
        "criteria: validation examples",
        "evidence: validation examples",
    ]
    write_png(figure, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
