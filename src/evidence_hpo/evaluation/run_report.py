"""The scores of one run on the validation split, as a classification report for each task and as a confusion figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evidence_hpo.evaluation.intervals import rounded
from evidence_hpo.evaluation.predictions import answer_scores, best_spans, gold_spans, has_answer
from evidence_hpo.training.metrics import confusion_counts, criteria_metrics, evidence_metrics, metrics_of_counts

__all__ = ["classification_report", "scores_of"]

_CELLS = ("true_positives", "false_positives", "false_negatives", "true_negatives")
_CLASSES = {"criteria": ("met", "not met"), "evidence": ("span", "no span")}


def scores_of(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Return all scores of a model's predictions at the thresholds of training.

    Args:
        tables: Predictions by task, as ``training.prediction.predict`` gives them.
    """
    scores: dict[str, float] = {}
    if "criteria" in tables:
        table = tables["criteria"]
        scores |= criteria_metrics(table["label"].to_numpy(), table["probability"].to_numpy())
    if "evidence" in tables:
        scores |= evidence_metrics(gold_spans(tables["evidence"]), _spans(tables["evidence"]))
    if len(tables) == 2:
        scores["mean_macro_f1_char_f1"] = (scores["macro_f1"] + scores["char_f1"]) / 2
    return scores


def classification_report(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return the report of each task: scores of both classes and their averages, of each criterion, and confusion.

    The classes of `evidence` are whether there is a span; its scores say how well the span fits.

    Args:
        tables: Predictions of the validation split by task, as ``training.prediction.predict`` gives them.
    """
    report = {}
    for task, table in sorted(tables.items()):
        positive, said = _decisions(task, table)
        cells = confusion_counts(positive, said)
        report[task] = {
            "examples": len(table),
            "metrics": {name: rounded(value) for name, value in scores_of({task: table}).items()},
            **_classes(task, cells.sum(axis=0)),
            "by_criterion": {
                str(criterion): _classes(task, cells[(table["criterion"] == criterion).to_numpy()].sum(axis=0))
                for criterion in sorted(set(table["criterion"]))
            },
        }
    return {"split": "validation", "tasks": report}


def _decisions(task: str, table: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows are positive, and which the model takes for positive, [n] each."""
    if task == "criteria":
        return (table["label"] == 1).to_numpy(), (table["probability"] >= 0.5).to_numpy()
    return has_answer(table), np.array([span is not None for span in _spans(table)])


def _spans(table: pd.DataFrame) -> list[tuple[int, int] | None]:
    given = answer_scores(table) > 0
    return [span if keep else None for span, keep in zip(best_spans(table), given, strict=True)]


def _classes(task: str, cells: NDArray[np.float64]) -> dict[str, Any]:
    """Return precision, recall, F1 and support of both classes, their averages, and the confusion [tp, fp, fn, tn]."""
    tp, fp, fn, tn = cells
    yes, no = (metrics_of_counts(np.array(one)) for one in ((tp, fp, fn, tn), (tn, fn, fp, tp)))
    names = ("precision", "recall", "f1")
    classes = {
        name: {**{metric: rounded(float(one[metric])) for metric in names}, "support": int(support)}
        for name, one, support in zip(_CLASSES[task], (yes, no), (tp + fn, tn + fp), strict=True)
    }
    return {
        "classes": classes,
        "accuracy": rounded(float(yes["accuracy"])),
        "macro_f1": rounded(float(yes["macro_f1"])),
        "weighted_f1": rounded(float(yes["weighted_f1"])),
        "confusion": {name: int(value) for name, value in zip(_CELLS, cells, strict=True)},
    }
