"""Refits on the test split, beside the final models whose configuration they have.

A refit has seen the validation split, so no threshold can be tuned for it there: it decides at the mean of the
thresholds that the final models were given. It is scored on the same rows and resamples, so the difference to them is
paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evidence_hpo.evaluation.contenders import (
    Contender,
    chance_warnings,
    collapse_warnings,
    floor_warnings,
    scored_at,
)
from evidence_hpo.evaluation.intervals import difference, score
from evidence_hpo.evaluation.models import FinalModel
from evidence_hpo.evaluation.scorers import Scorer

__all__ = ["RefitAssessment", "Refits", "assess_refit", "refit_section"]


@dataclass(frozen=True)
class Refits:
    """The refit models, and their predictions of the test split by task and seed."""

    models: Sequence[FinalModel]
    tests: Mapping[str, Mapping[int, pd.DataFrame]]


@dataclass(frozen=True)
class RefitAssessment:
    """What is reported of the refits of one task, and the objective in each resample, [seeds, 1 + repeats]."""

    report: dict[str, Any]
    warnings: list[dict[str, Any]]
    objective: Any


def assess_refit(
    scorer: Scorer,
    finals: Contender,
    floors: Mapping[str, Contender],
    tests: Mapping[int, pd.DataFrame],
    headline: str,
    confidence: float,
) -> RefitAssessment:
    """Score the refits of one task at the mean thresholds of the final models.

    Args:
        scorer: The task's scorer, made for the test rows.
        finals: The final models, scored.
        floors: The floors by name, scored.
        tests: Seed -> the refit's predictions of the test rows.
        headline: Threshold strategy of the headline.
        confidence: Level of the intervals.
    """
    seeds = sorted(tests)
    thresholds = scorer.mean(finals.thresholds)
    refits = scored_at(scorer, [tests[seed] for seed in seeds], [thresholds] * len(seeds))
    metrics = {strategy: refits.metrics(strategy, confidence) for strategy in scorer.strategies}
    objective = refits.draws(headline, scorer.objective)
    report: dict[str, Any] = {
        "thresholds": scorer.described(thresholds),
        "headline": {"thresholds": headline, "metric": scorer.objective, "score": score(objective, confidence)},
        "metrics": metrics,
        "differences": refits.differences(finals, headline, confidence),
        "floors": [
            {"name": name, "differences": refits.differences(floor, headline, confidence)}
            for name, floor in floors.items()
        ],
    }
    warnings = collapse_warnings(scorer, "the refit", seeds, refits, headline)
    warnings += chance_warnings(scorer, "the refit", metrics[headline])
    warnings += floor_warnings(scorer, "the refit", report["floors"])
    return RefitAssessment(report, warnings, objective)


def refit_section(
    refits: Refits, tasks: Mapping[str, RefitAssessment], finals: Mapping[str, Any], confidence: float
) -> dict[str, Any]:
    """Return the section ``refit`` of ``evaluation.json``.

    Args:
        refits: The models.
        tasks: Assessments by task.
        finals: Task -> the final models' objective in each resample, [seeds, 1 + repeats].
        confidence: Level of the intervals.
    """
    return {
        "trained_on": ["train", "validation"],
        "thresholds_from": "mean_of_final_models",
        "seeds": [model.seed_index for model in refits.models],
        "models": [
            {
                "seed": model.seed_index,
                "training_seed": model.record["seed"],
                **{name: model.record[name] for name in ("epochs", "refit_epochs", "precision", "checkpoint")},
            }
            for model in refits.models
        ],
        "tasks": {name: one.report for name, one in tasks.items()},
        "combined": _combined([(one.objective, finals[name]) for name, one in tasks.items()], confidence),
        "warnings": [warning for one in tasks.values() for warning in one.warnings],
    }


def _combined(pairs: Sequence[tuple[Any, Any]], confidence: float) -> dict[str, Any] | None:
    """Return the mean of both tasks' objectives and its difference; None where there is one task only."""
    if len(pairs) < 2:
        return None
    refit, final = (sum(draws[1:], start=draws[0]) / len(draws) for draws in zip(*pairs, strict=True))
    return {
        "metric": "mean_macro_f1_char_f1",
        "score": score(refit, confidence),
        "difference": difference(refit, final, confidence),
    }
