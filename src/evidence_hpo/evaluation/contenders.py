"""What is compared on the same rows and resamples: a model with its seeds, or a floor as a model of one seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evidence_hpo.evaluation.intervals import difference, score
from evidence_hpo.evaluation.predictions import Predictions
from evidence_hpo.evaluation.scorers import Scored, Scorer

__all__ = ["Contender", "chance_warnings", "collapse_warnings", "floor_warnings", "scored_at", "tuned"]


@dataclass(frozen=True)
class Contender:
    """The thresholds of each seed, and its scores under each strategy."""

    thresholds: Sequence[Any]
    scored: Sequence[Mapping[str, Scored]]

    def draws(self, strategy: str, metric: str) -> Any:
        """Return a metric in each resample, shape [seeds, 1 + repeats]."""
        return np.stack([of_seed[strategy].overall[metric] for of_seed in self.scored])

    def metrics(self, strategy: str, confidence: float) -> dict[str, Any]:
        """Return all scores under a strategy, with intervals."""
        names = self.scored[0][strategy].overall
        return {name: score(self.draws(strategy, name), confidence) for name in names}

    def differences(self, other: Contender, strategy: str, confidence: float) -> dict[str, Any]:
        """Return by metric how much this one is above the other in the same resamples, with intervals."""
        names = self.scored[0][strategy].overall
        return {name: difference(self.draws(strategy, name), other.draws(strategy, name), confidence) for name in names}


def tuned(scorer: Scorer, predictions: Sequence[Predictions]) -> Contender:
    """Score the test predictions of each seed at thresholds tuned on its own validation predictions."""
    thresholds = [scorer.tune(part.validation) for part in predictions]
    return scored_at(scorer, [part.test for part in predictions], thresholds)


def scored_at(scorer: Scorer, tests: Sequence[pd.DataFrame], thresholds: Sequence[Any]) -> Contender:
    """Score the test predictions of each seed at given thresholds."""
    return Contender(thresholds, [scorer.scored(test, own) for test, own in zip(tests, thresholds, strict=True)])


def collapse_warnings(
    scorer: Scorer, who: str, seeds: Sequence[int], model: Contender, strategy: str
) -> list[dict[str, Any]]:
    """Warn of seeds of ``who`` that give the same answer for every example."""
    warnings = []
    for seed, of_seed in zip(seeds, model.scored, strict=True):
        tp, fp, fn, tn = of_seed[strategy].confusion
        rows = int(tp + fp + fn + tn)
        always = "negative" if tp + fp == 0 else "positive" if fn + tn == 0 else None
        if always is None or (scorer.task == "evidence" and always == "positive" and fp == 0):
            continue
        answer = {"negative": "gives no span", "positive": "gives a span"}[always]
        what = answer if scorer.task == "evidence" else f"predicts the {always} class"
        message = f"{scorer.task}: {who} of seed {seed} {what} for all {rows} test examples: it has collapsed."
        warnings.append({"code": "collapsed", "task": scorer.task, "message": message})
    return warnings


def chance_warnings(scorer: Scorer, who: str, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Warn of probabilities that rank like a coin: such a model can still beat the majority class in macro-F1."""
    area = metrics.get("roc_auc")
    if area is None or area["low"] > 0.5:
        return []
    message = (
        f"{scorer.task}: {who} ranks examples no better than chance: roc_auc {area['mean']:.3f}, interval "
        f"{area['low']:.3f} to {area['high']:.3f}."
    )
    return [{"code": "chance", "task": scorer.task, "message": message}]


def floor_warnings(scorer: Scorer, who: str, floors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Warn of floors that ``who`` is not above in the objective."""
    warnings = []
    for floor in floors:
        gap = floor["differences"][scorer.objective]
        if gap["low"] <= 0:
            relation = "is below" if gap["high"] < 0 else "cannot be told from"
            message = (
                f"{scorer.task}: {scorer.objective} of {who} {relation} the floor {floor['name']}: difference "
                f"{gap['mean']:+.3f}, interval {gap['low']:+.3f} to {gap['high']:+.3f}."
            )
            warnings.append({"code": "not_above_floor", "task": scorer.task, "message": message})
    return warnings
