"""The scores of a model, computed again, and those that were recorded; by the same names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.evaluation.intervals import Resampler, rounded
from evidence_hpo.evaluation.models import open_caches
from evidence_hpo.evaluation.run_report import scores_of
from evidence_hpo.evaluation.scorers import CriteriaScorer, EvidenceScorer, Scorer
from evidence_hpo.evaluation.thresholds import CriteriaThresholds, EvidenceThreshold
from evidence_hpo.reproduction.recorded import RecordedRun
from evidence_hpo.training.prediction import load_model, predict

__all__ = ["recorded_scores", "replayed_scores", "splits_of"]

_COMBINED = "mean_macro_f1_char_f1"
_SCORERS: dict[str, Any] = {"criteria": CriteriaScorer, "evidence": EvidenceScorer}


def splits_of(run: RecordedRun) -> tuple[str, ...]:
    """Return the splits that a replay reads: not the validation split of a refit, which was trained on it.

    The test split is read only where the evaluation has read it.
    """
    validation = () if run.record["role"] == "refit" else ("validation",)
    return (*validation, "test") if run.evaluation else validation


def recorded_scores(run: RecordedRun) -> dict[str, float]:
    """Return the recorded scores: ``validation_<metric>`` of training, ``test_<metric>`` of the evaluation.

    Those of the test split are at the headline thresholds.
    """
    metrics = {name: value for name, value in run.record["metrics"].items() if not name.endswith("loss")}
    found = {f"validation_{name}": float(value) for name, value in metrics.items() if value is not None}
    section = _section(run)
    if section is None:
        return found
    position = section["seeds"].index(run.record["seed_index"])
    for report in section["tasks"].values():
        for name, score in report["metrics"][report["headline"]["thresholds"]].items():
            found[f"test_{name}"] = float(score["per_seed"][position])
    if section["combined"]:
        found[f"test_{_COMBINED}"] = float(section["combined"]["score"]["per_seed"][position])
    return found


def _section(run: RecordedRun) -> Mapping[str, Any] | None:
    """Return the part of the evaluation that the run is in."""
    if run.evaluation is None or run.record["role"] == "final":
        return run.evaluation
    section: Mapping[str, Any] = run.evaluation["refit"]
    return section


def replayed_scores(run: RecordedRun, model: Path) -> dict[str, float]:
    """Return the scores of the weights in ``model``, by the names of :func:`recorded_scores`.

    Thresholds are tuned again on the validation split; a refit decides at those of the evaluation.

    Raises:
        DataError: A file is missing or damaged.
    """
    splits = splits_of(run)
    files = {split: [(one.texts, one.examples) for one in run.caches([split])] for split in splits}
    caches = open_caches(files, run.tasks, str(run.record["digests"]["backbone"]))
    loaded, runtime = load_model(model), RuntimeSettings.model_validate(run.run["runtime"])
    tables = {split: predict(loaded, caches[split], runtime) for split in splits}
    found = {}
    if "validation" in tables:
        found = {f"validation_{name}": value for name, value in scores_of(tables["validation"]).items()}
    section = _section(run)
    if section is not None:
        test = _test_scores(run.record["role"], section, tables)
        found |= {f"test_{name}": value for name, value in test.items()}
    return {name: rounded(value) for name, value in found.items()}


def _test_scores(
    role: str, section: Mapping[str, Any], tables: Mapping[str, Mapping[str, pd.DataFrame]]
) -> dict[str, float]:
    found: dict[str, float] = {}
    objectives = []
    for task, table in tables["test"].items():
        report = section["tasks"][task]
        once = Resampler(table["post_id"].tolist(), 0, 0)  # the observed sample alone
        scorer: Scorer = _SCORERS[task](once, table)
        recorded = report["thresholds"]
        thresholds = _thresholds(task, recorded) if role == "refit" else scorer.tune(tables["validation"][task])
        scores = scorer.scored(table, thresholds)[report["headline"]["thresholds"]].overall
        found |= {name: float(values[0]) for name, values in scores.items()}
        objectives.append(found[scorer.objective])
    if len(objectives) > 1:
        found[_COMBINED] = sum(objectives) / len(objectives)
    return found


def _thresholds(task: str, described: Mapping[str, Any]) -> CriteriaThresholds | EvidenceThreshold:
    if task == "evidence":
        return EvidenceThreshold(described["global"])
    return CriteriaThresholds(described["global"], described["per_criterion"], described["fallbacks"])
