"""Figures of one architecture's evaluation: confusion, reliability, scores beside floors, scores of each criterion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evidence_hpo.evaluation.figures import BLACK, BLUE, GREEN, GREY, ORANGE, new_figure, say, style
from evidence_hpo.evaluation.levels import level_text

__all__ = ["confusion_figure", "criteria_figure", "reliability_figure", "run_confusion_figure", "scores_figure"]

_LABELS = {"criteria": ("met", "not met"), "evidence": ("a span", "no span")}
_SHOWN = {
    "criteria": ("macro_f1", "f1", "precision", "recall", "roc_auc"),
    "evidence": ("char_f1", "exact_match", "has_answer", "has_answer_char_f1", "no_answer_accuracy"),
}
_FLOORS = {
    "majority": "majority class",
    "criterion_share": "criterion without text",
    "tfidf_logistic_regression": "TF-IDF + regression",
    "always_null": "never a span",
    "tfidf_best_sentence": "TF-IDF best sentence",
}
_OF_FLOORS = ((GREY, "s"), (ORANGE, "D"), (GREEN, "^"))
_FAINT = 0.3
_ON_DARK, _ON_PALE = "#fefefe", "#111111"
"""Ink on a field whose colour stays the same where the figure turns dark."""
_OF_CRITERION = {"criteria": "f1", "evidence": "char_f1"}


@style()
def confusion_figure(evaluation: Mapping[str, Any]) -> Figure:
    """Return one confusion matrix a task: examples of the test split, mean over the seeds."""
    titles = f"test examples, {_seeds(evaluation)}"
    return _confusion_panels({name: task["confusion"]["mean"] for name, task in evaluation["tasks"].items()}, titles)


@style()
def run_confusion_figure(report: Mapping[str, Any]) -> Figure:
    """Return one confusion matrix a task of a single run's classification report."""
    cells = {name: task["confusion"] for name, task in report["tasks"].items()}
    return _confusion_panels(cells, "validation examples")


def _confusion_panels(confusions: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    figure, panels = new_figure(1, len(confusions), width=3.6, height=3.2)
    for axes, (name, cells) in zip(panels, sorted(confusions.items()), strict=True):
        matrix = np.array(
            [
                [cells["true_positives"], cells["false_negatives"]],
                [cells["false_positives"], cells["true_negatives"]],
            ],
            dtype=np.float64,
        )
        totals = matrix.sum(axis=1, keepdims=True)
        share = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        for row, column in np.ndindex(2, 2):
            text = f"{matrix[row, column]:.4g}\n{share[row, column]:.0%} of the row"
            colour = _ON_DARK if share[row, column] > 0.55 else _ON_PALE
            axes.text(column, row, text, ha="center", va="center", color=colour)
        axes.set_xticks([0, 1], _LABELS[name])
        axes.set_yticks([0, 1], _LABELS[name], rotation=90, va="center")
        axes.set(xlabel="Predicted", ylabel="Annotated")
        axes.set_title(f"{name}: {title}")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    return figure


@style()
def reliability_figure(evaluation: Mapping[str, Any]) -> Figure:
    """Return the reliability diagram of the criteria probabilities, with the number of examples in each bin."""
    calibration = evaluation["tasks"].get("criteria", {}).get("calibration")
    if calibration is None:
        figure, (axes,) = new_figure(1, 1)
        say(axes, f"{evaluation['architecture']} gives no probabilities of criteria")
        return figure
    figure, (axes, counts) = new_figure(1, 2, width=3.6, height=3.4)
    filled = [item for item in calibration["bins"] if item["count"]]
    x = [item["mean_probability"] for item in filled]
    y = [item["positive_share"] for item in filled]
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
    error, brier = calibration["expected_calibration_error"], calibration["brier_score"]
    axes.plot(x, y, color=BLUE, marker="o", label=f"model: error {error:.3f},\nBrier score {brier:.3f}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set(xlabel="Mean predicted probability", ylabel="Share that is really met")
    axes.set_title("criteria: reliability")
    axes.legend(loc="lower right")
    axes.grid()
    width = calibration["bins"][0]["high"] - calibration["bins"][0]["low"]
    left = [item["low"] for item in calibration["bins"]]
    counts.bar(left, [item["count"] for item in calibration["bins"]], width=0.92 * width, align="edge", color=BLUE)
    counts.set(xlim=(0, 1), xlabel="Predicted probability", ylabel="Test examples (all seeds)")
    counts.set_title("How often each probability occurs")
    counts.grid(axis="y")
    return figure


@style()
def scores_figure(evaluation: Mapping[str, Any]) -> Figure:
    """Return one panel a task: the headline scores of the model and of each floor, with their intervals."""
    tasks = evaluation["tasks"]
    rows = max(len(task["floors"]) for task in tasks.values()) + 1
    height = 1.6 + 5 * 0.15 * rows
    figure, panels = new_figure(1, len(tasks), width=4.8, height=height)
    for axes, (name, task) in zip(panels, sorted(tasks.items()), strict=True):
        _scores(axes, evaluation, name, task)
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.5 / height), ncols=2)
    return figure


def _scores(axes: Axes, evaluation: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> None:
    strategy = task["headline"]["thresholds"]
    contenders = [("model", task["metrics"][strategy], BLUE, "o")]
    for number, floor in enumerate(task["floors"]):
        colour, marker = _OF_FLOORS[number % len(_OF_FLOORS)]
        contenders.append((_FLOORS.get(floor["name"], floor["name"]), floor["metrics"][strategy], colour, marker))
    metrics = _SHOWN[name]
    step = 0.8 / len(contenders)
    for number, (label, scores, colour, marker) in enumerate(contenders):
        y = np.arange(len(metrics)) - 0.4 + step * (number + 0.5)
        means = np.array([scores[metric]["mean"] for metric in metrics])
        low = np.array([scores[metric]["low"] for metric in metrics])
        high = np.array([scores[metric]["high"] for metric in metrics])
        reach = [np.maximum(means - low, 0), np.maximum(high - means, 0)]
        axes.errorbar(
            means, y, xerr=reach, fmt=marker, color=colour, markersize=5, capsize=2.5, linewidth=1.2, label=label
        )
    axes.set_yticks(range(len(metrics)), metrics)
    axes.set(ylim=(len(metrics) - 0.45, -0.55), xlim=(-0.02, 1.02))
    axes.set_xlabel(f"Score on the test split, {level_text(evaluation['confidence'])} interval over posts")
    axes.set_title(f"{name}, thresholds: {strategy.replace('_', ' ')}")
    for line in range(1, len(metrics)):
        axes.axhline(line - 0.5, color="#eeeeee", linewidth=0.8, zorder=0)
    axes.grid(axis="x")


@style()
def criteria_figure(evaluation: Mapping[str, Any]) -> Figure:
    """Return one panel a task: the score of each criterion with its interval and its number of positives."""
    tasks = evaluation["tasks"]
    tallest = max(len(task["by_criterion"]) for task in tasks.values())
    figure, panels = new_figure(1, len(tasks), width=5.0, height=1.0 + 0.3 * tallest)
    for axes, (name, task) in zip(panels, sorted(tasks.items()), strict=True):
        metric = _OF_CRITERION[name]
        rows = sorted(task["by_criterion"], key=lambda row: (row["positives"], row["criterion"]))
        labels = [f"{row['criterion']} ({row['positives']}/{row['examples']})" for row in rows]
        for position, row in enumerate(rows):
            _criterion_bar(axes, position, row["metrics"][metric])
        axes.set_yticks(range(len(rows)), labels)
        overall = task["metrics"][task["headline"]["thresholds"]][metric]["mean"]
        axes.axvline(overall, color=BLACK, linestyle="--", linewidth=1, label=f"all criteria: {overall:.2f}")
        axes.set(xlim=(0, 1.02), ylim=(-0.6, len(rows) - 0.4))
        axes.set_xlabel(f"{metric} on the test split, {level_text(evaluation['confidence'])} interval over posts")
        axes.set_title(f"{name}: criterion (positives/examples)", pad=16)
        if any(row["metrics"][metric] and row["metrics"][metric]["low"] is None for row in rows):
            axes.bar(0, 0, color=BLUE, alpha=_FAINT, label="too few posts for an interval")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.985), borderaxespad=0.1, ncols=2)
        axes.grid(axis="x")
    return figure


def _criterion_bar(axes: Axes, position: int, score: Mapping[str, Any] | None) -> None:
    if score is None:
        axes.text(0.01, position, "no positive example", va="center", fontsize=8, color="#555555")
        return
    few = score["low"] is None
    axes.barh(position, score["mean"], height=0.66, color=BLUE, alpha=_FAINT if few else 0.75)
    if few:
        return
    reach = [[max(score["mean"] - score["low"], 0)], [max(score["high"] - score["mean"], 0)]]
    axes.errorbar(score["mean"], position, xerr=reach, fmt="none", color=BLACK, capsize=2.5, linewidth=1)


def _seeds(evaluation: Mapping[str, Any]) -> str:
    count = len(evaluation["seeds"])
    return f"mean of {count} seeds" if count > 1 else "one seed"
