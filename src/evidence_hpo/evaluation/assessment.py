"""The assessment of one task: a model's scores beside its floors', with intervals, thresholds and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evidence_hpo.config.evaluation import EvaluationSettings
from evidence_hpo.evaluation.calibration import brier_score, expected_calibration_error, reliability_bins
from evidence_hpo.evaluation.contenders import Contender, chance_warnings, collapse_warnings, floor_warnings, tuned
from evidence_hpo.evaluation.floors import Floor
from evidence_hpo.evaluation.intervals import rounded, score
from evidence_hpo.evaluation.predictions import Predictions
from evidence_hpo.evaluation.refits import RefitAssessment, assess_refit
from evidence_hpo.evaluation.scorers import Scorer

__all__ = ["MINIMUM_POSTS", "Assessment", "assess"]

MINIMUM_POSTS = 5
"""Posts with a positive example below which a criterion's score has no interval: resampling so few shows too little."""


@dataclass(frozen=True)
class Assessment:
    """What is reported of one task."""

    report: dict[str, Any]
    warnings: list[dict[str, Any]]
    objective: NDArray[np.float64]
    """The objective in each resample under the headline thresholds, shape [seeds, 1 + repeats]."""
    refit: RefitAssessment | None
    """Of the refits, where there are any."""


def assess(
    scorer: Scorer,
    models: Mapping[int, Predictions],
    floors: Sequence[Floor],
    settings: EvaluationSettings,
    refits: Mapping[int, pd.DataFrame] | None = None,
) -> Assessment:
    """Score the models of all seeds and the floors on the same rows and resamples.

    Args:
        scorer: The task's scorer, made for the test rows.
        models: Seed -> predictions.
        floors: The task's floors.
        settings: Level of the intervals and headline thresholds.
        refits: Seed -> a refit's predictions of the test rows; None: there are no refits.
    """
    seeds = sorted(models)
    predictions = [models[seed] for seed in seeds]
    model = tuned(scorer, predictions)
    rivals = {floor.name: tuned(scorer, [floor.predictions]) for floor in floors}
    headline = settings.thresholds if settings.thresholds in scorer.strategies else "global"
    test = predictions[0].test
    report: dict[str, Any] = {
        "rows": {split: _rows(scorer, getattr(predictions[0], split)) for split in ("validation", "test")},
        "headline": {
            "thresholds": headline,
            "metric": scorer.objective,
            "score": score(model.draws(headline, scorer.objective), settings.confidence),
        },
        "metrics": {name: model.metrics(name, settings.confidence) for name in scorer.strategies},
        "thresholds": {
            "tuned_on": "validation",
            "per_seed": [
                {"seed": seed, **scorer.described(own)} for seed, own in zip(seeds, model.thresholds, strict=True)
            ],
        },
        "by_criterion": _by_criterion(scorer, model, test, headline, settings.confidence),
        "confusion": _confusion(seeds, model, headline),
        "calibration": _calibration(predictions) if scorer.task == "criteria" else None,
        "floors": [_floor(floor, rivals[floor.name], model, headline, settings.confidence) for floor in floors],
    }
    warnings = collapse_warnings(scorer, "the model", seeds, model, headline)
    warnings += chance_warnings(scorer, "the model", report["metrics"][headline])
    warnings += floor_warnings(scorer, "the model", report["floors"])
    refit = assess_refit(scorer, model, rivals, refits, headline, settings.confidence) if refits else None
    return Assessment(report, warnings, model.draws(headline, scorer.objective), refit)


def _rows(scorer: Scorer, table: pd.DataFrame) -> dict[str, int]:
    return {
        "examples": len(table),
        "posts": table["post_id"].nunique(),
        "positives": int(scorer.positives(table).sum()),
    }


def _by_criterion(
    scorer: Scorer, model: Contender, test: pd.DataFrame, strategy: str, confidence: float
) -> list[dict[str, Any]]:
    positive = scorer.positives(test)
    criteria, posts = test["criterion"].to_numpy(dtype=object), test["post_id"].to_numpy(dtype=object)
    table = []
    for number, criterion in enumerate(sorted(set(criteria))):
        rows = criteria == criterion
        examples, positives = int(rows.sum()), int(positive[rows].sum())
        few = len(set(posts[rows & positive])) < MINIMUM_POSTS
        draws = {
            name: np.stack([of_seed[strategy].by_criterion[name][number] for of_seed in model.scored])
            for name in model.scored[0][strategy].by_criterion
        }
        table.append(
            {
                "criterion": str(criterion),
                "examples": examples,
                "positives": positives,
                "thresholds": [scorer.thresholds_of(own, strategy, str(criterion)) for own in model.thresholds],
                "metrics": {name: _criterion_score(of_metric, confidence, few) for name, of_metric in draws.items()},
            }
        )
    return table


def _criterion_score(draws: NDArray[np.float64], confidence: float, few: bool) -> dict[str, Any] | None:
    if np.isnan(draws[:, 0]).any():
        return None
    return score(draws, confidence) | ({"low": None, "high": None} if few else {})


def _confusion(seeds: Sequence[int], model: Contender, strategy: str) -> dict[str, Any]:
    cells = np.stack([of_seed[strategy].confusion for of_seed in model.scored])
    names = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    return {
        "mean": dict(zip(names, (rounded(value) for value in cells.mean(axis=0)), strict=True)),
        "per_seed": [
            {"seed": seed, **dict(zip(names, (int(value) for value in row), strict=True))}
            for seed, row in zip(seeds, cells, strict=True)
        ],
    }


def _calibration(predictions: Sequence[Predictions]) -> dict[str, Any]:
    """Return the calibration on the test split; bins pool the seeds, scores are means over them."""
    tables = [part.test for part in predictions]
    labels = [table["label"].to_numpy() for table in tables]
    probabilities = [table["probability"].to_numpy(dtype=np.float64) for table in tables]
    pairs = list(zip(labels, probabilities, strict=True))
    share = float((predictions[0].validation["label"] == 1).mean())
    return {
        "bins": reliability_bins(np.concatenate(labels), np.concatenate(probabilities)),
        "expected_calibration_error": rounded(float(np.mean([expected_calibration_error(*pair) for pair in pairs]))),
        "brier_score": rounded(float(np.mean([brier_score(*pair) for pair in pairs]))),
        "brier_score_of_validation_share": rounded(brier_score(labels[0], np.full(len(labels[0]), share))),
    }


def _floor(floor: Floor, rival: Contender, model: Contender, headline: str, confidence: float) -> dict[str, Any]:
    return {
        "name": floor.name,
        "method": floor.method,
        "metrics": {strategy: rival.metrics(strategy, confidence) for strategy in rival.scored[0]},
        "differences": model.differences(rival, headline, confidence),
    }
