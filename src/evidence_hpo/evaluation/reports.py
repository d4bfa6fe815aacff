"""The content of ``evaluation_report.json``: the verdict on every architecture, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.levels import level_text
from evidence_hpo.files import digest_json

__all__ = ["FLOOR_NAMES", "evaluation_report", "refit_verdicts", "verdicts"]

FLOOR_NAMES = {
    "majority": "the majority class",
    "criterion_share": "the criterion without the text",
    "tfidf_logistic_regression": "TF-IDF with logistic regression",
    "always_null": "never giving a span",
    "tfidf_best_sentence": "the best sentence by TF-IDF",
}


_DISQUALIFYING = {
    "collapsed": "A model has collapsed into one answer.",
    "chance": "It ranks examples no better than chance.",
}
"""Warnings under which no score counts as above the floors."""


def evaluation_report(evaluations: Sequence[Mapping[str, Any]], retraining: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report over all architectures.

    Args:
        evaluations: Contents of their ``evaluation.json``.
        retraining: Content of ``retrain_summary.json``.

    Raises:
        DataError: The files are of different studies or settings.
    """
    first = evaluations[0]
    for one in [*evaluations, retraining]:
        if one["study"] != first["study"]:
            raise DataError(f"evaluations and retrain summary are of the studies {first['study']} and {one['study']}")
    for one in evaluations:
        if one["architecture"] not in retraining["architectures"]:
            raise DataError(f"{one['architecture']}: is evaluated but not in the retrain summary; run it again")
    return {
        "study": first["study"],
        "split": "test",
        "confidence": first["confidence"],
        "bootstrap_repeats": first["bootstrap_repeats"],
        "architectures": {
            one["architecture"]: _architecture(one, retraining["architectures"][one["architecture"]])
            for one in evaluations
        },
    }


def _architecture(evaluation: Mapping[str, Any], retrained: Mapping[str, Any]) -> dict[str, Any]:
    configuration, tasks = evaluation["configuration"], evaluation["tasks"]
    criteria = tasks.get("criteria")
    chosen = next(one for one in retrained["configurations"] if one["rank"] == retrained["chosen_rank"])
    return {
        "verdicts": verdicts(evaluation),
        "combined": evaluation["combined"],
        "refit": _refit(evaluation) if evaluation["refit"] else None,
        "macro_f1": _headline(criteria, "macro_f1")["mean"] if criteria else None,
        "thresholds": {name: task["thresholds"]["per_seed"] for name, task in tasks.items()},
        "effective_learning_rate": configuration["effective_learning_rate"],
        "effective_batch_size": configuration["effective_batch_size"],
        "parameters": configuration["parameters"],
        "validation": {
            "objective": configuration["objective"],
            "search_value": chosen["search_value"],
            "retrained_mean": chosen["mean"],
            "final_mean": retrained["final"]["mean"],
            "final_standard_deviation": retrained["final"]["standard_deviation"],
        },
        "best_checkpoint": {key: retrained["best_checkpoint"][key] for key in ("path", "sha256")},
        "candidates": evaluation["candidates"],
        "warnings": evaluation["warnings"],
        "reproducibility": {
            "seeds": [{key: model[key] for key in ("seed", "training_seed")} for model in evaluation["models"]],
            "digests": evaluation["digests"],
            "versions": configuration["versions"],
            "evaluation": digest_json(evaluation),
        },
    }


def _headline(task: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = task["metrics"][task["headline"]["thresholds"]][metric]
    return found


def verdicts(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for each task whether the model is above all floors, measured against the one hardest to clear."""
    return [_verdict(evaluation, name, task) for name, task in sorted(evaluation["tasks"].items())]


def _verdict(evaluation: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> dict[str, Any]:
    headline = task["headline"]
    metric = headline["metric"]
    hardest, codes = _hardest(task, metric), _codes(evaluation["warnings"], name)
    gap = hardest["differences"][metric]
    above = gap["low"] > 0 and not codes
    text = f"{_cleared(above)}: {_measured(headline, evaluation['confidence'])}; {_compared(gap, _named(hardest))}."
    text += "".join(f" {_DISQUALIFYING[code]}" for code in codes)
    return {
        "task": name,
        "above_all_floors": above,
        "metric": metric,
        "thresholds": headline["thresholds"],
        "score": headline["score"],
        "best_floor": hardest["name"],
        "difference": gap,
        "text": text,
    }


def _hardest(task: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    """Return the floor that is hardest to clear."""
    hardest: Mapping[str, Any] = min(task["floors"], key=lambda floor: floor["differences"][metric]["low"])
    return hardest


def _codes(warnings: Sequence[Mapping[str, Any]], task: str) -> list[str]:
    """Return the codes of a task's warnings under which no score counts."""
    given = {one["code"] for one in warnings if one["task"] == task}
    return [code for code in _DISQUALIFYING if code in given]


def _cleared(above: bool) -> str:
    return "clears every floor" if above else "does NOT clear every floor"


def _named(floor: Mapping[str, Any]) -> str:
    return FLOOR_NAMES.get(floor["name"], str(floor["name"]))


def _measured(headline: Mapping[str, Any], confidence: float) -> str:
    score, seeds = headline["score"], len(headline["score"]["per_seed"])
    return (
        f"{headline['metric']} {score['mean']:.3f} ({level_text(confidence)} interval {score['low']:.3f} to "
        f"{score['high']:.3f}, {seeds} {'seeds' if seeds > 1 else 'seed'})"
    )


def _compared(gap: Mapping[str, Any], other: str) -> str:
    relation = "above" if gap["low"] > 0 else "below" if gap["high"] < 0 else "not distinguishable from"
    return f"{relation} {other}, difference {gap['mean']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})"


def refit_verdicts(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for each task how the refits stand to the final models and the floors; nothing where there are none."""
    tasks = evaluation["refit"]["tasks"] if evaluation["refit"] else {}
    return [_refit_verdict(evaluation, name, task) for name, task in sorted(tasks.items())]


def _refit_verdict(evaluation: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> dict[str, Any]:
    headline = task["headline"]
    metric = headline["metric"]
    hardest, codes = _hardest(task, metric), _codes(evaluation["refit"]["warnings"], name)
    to_floor, to_finals = hardest["differences"][metric], task["differences"][metric]
    above = to_floor["low"] > 0 and not codes
    compared = f"{_compared(to_floor, _named(hardest))}; {_compared(to_finals, 'the final models')}"
    text = f"{_cleared(above)}: {_measured(headline, evaluation['confidence'])}; {compared}."
    text += "".join(f" {_DISQUALIFYING[code]}" for code in codes)
    return {
        "task": name,
        "above_all_floors": above,
        "best_floor": hardest["name"],
        "metric": metric,
        "score": headline["score"],
        "difference": to_finals,
        "text": text,
    }


def _refit(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    refit = evaluation["refit"]
    return {
        **{name: refit[name] for name in ("trained_on", "thresholds_from", "warnings")},
        "verdicts": refit_verdicts(evaluation),
        "checkpoints": [model["checkpoint"] for model in refit["models"]],
    }
