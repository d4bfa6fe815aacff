"""The final models: which seeds there are, what they predict, and whether their training's numbers come out again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.evaluation.intervals import rounded
from evidence_hpo.evaluation.predictions import Predictions, answer_scores, best_spans, gold_spans
from evidence_hpo.logs import log_event
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.training.inference import NonFinitePredictionError
from evidence_hpo.training.metrics import criteria_metrics, evidence_metrics
from evidence_hpo.training.prediction import load_model, predict

__all__ = ["Caches", "FinalModel", "final_models", "open_caches", "predict_all", "validation_objective"]

Caches = dict[str, dict[str, TokenCache]]
"""Split -> task -> token cache."""


@dataclass(frozen=True)
class FinalModel:
    """A trained model of the chosen configuration: its folder and its record."""

    directory: Path
    record: Mapping[str, Any]

    @property
    def seed_index(self) -> int:
        """Which of the fresh seeds, from 0."""
        return int(self.record["seed_index"])


def final_models(directories: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> list[FinalModel]:
    """Return the models that were trained to the end, by seed.

    Raises:
        DataError: The lists do not match, or the records are of different configurations.
        TrainingError: No seed was trained to the end.
    """
    if len(directories) != len(records):
        raise DataError(f"{len(directories)} models but {len(records)} records: each model needs its record")
    models = [FinalModel(*pair) for pair in zip(directories, records, strict=True) if pair[1]["state"] == "complete"]
    if not models:
        reasons = sorted({str(record["reason"]) for record in records})
        raise TrainingError(f"none of {len(records)} final seeds was trained to the end: {'; '.join(reasons[:3])}")
    first = models[0].record
    for model in models:
        if any(model.record[key] != first[key] for key in ("architecture", "parameters", "digests")):
            raise DataError(f"{model.directory}: is of another configuration than {models[0].directory}; retrain both")
    if len(models) < len(records):
        log_event("seeds_left_out", f"{len(records) - len(models)} of {len(records)} seeds failed", level="warning")
    return sorted(models, key=lambda model: model.seed_index)


def open_caches(files: Mapping[str, Iterable[tuple[Path, Path]]], tasks: Sequence[str], backbone: str) -> Caches:
    """Open the token caches of one encoder.

    Args:
        files: Split -> pairs of a texts and an examples file, of all encoders and tasks.
        tasks: Tasks that are needed.
        backbone: Digest of the encoder.

    Raises:
        DataError: A cache is not among the files.
    """
    found: Caches = {}
    for split, pairs in files.items():
        opened = [TokenCache.open(texts, rows) for texts, rows in pairs]
        found[split] = {
            cache.task: cache for cache in opened if cache.backbone_digest == backbone and cache.task in tasks
        }
        for task in tasks:
            if task not in found[split]:
                raise DataError(
                    f"no token cache of {task}, {split} split, for the model's backbone is among the inputs"
                )
    return found


def predict_all(
    models: Sequence[FinalModel], caches: Caches, runtime: RuntimeSettings
) -> dict[str, dict[int, Predictions]]:
    """Return the predictions of all models for the validation and the test split, by task and seed.

    Raises:
        TrainingError: A model's predictions are not finite.
    """
    found: dict[str, dict[int, Predictions]] = {task: {} for task in caches["test"]}
    for model in models:
        try:
            loaded = load_model(model.directory)
            tables = {split: predict(loaded, caches[split], runtime) for split in ("validation", "test")}
        except NonFinitePredictionError as error:
            raise TrainingError(f"{model.directory}: predictions are not finite; retrain the configuration") from error
        for task, of_task in found.items():
            of_task[model.seed_index] = Predictions(tables["validation"][task], tables["test"][task])
        log_event("predicted", f"seed {model.seed_index}: predicted the validation and test splits")
    return found


def validation_objective(predictions: Mapping[str, Predictions], objective: str) -> float:
    """Return the objective on the validation split at the thresholds of training, as the search computed it.

    Args:
        predictions: Predictions of one model by task.
        objective: Name of the metric.
    """
    metrics: dict[str, float] = {}
    if "criteria" in predictions:
        table = predictions["criteria"].validation
        metrics |= criteria_metrics(table["label"].to_numpy(), table["probability"].to_numpy())
    if "evidence" in predictions:
        table = predictions["evidence"].validation
        given = answer_scores(table) > 0
        spans = [span if keep else None for span, keep in zip(best_spans(table), given, strict=True)]
        metrics |= evidence_metrics(gold_spans(table), spans)
    if len(predictions) == 2:
        metrics["mean_macro_f1_char_f1"] = (metrics["macro_f1"] + metrics["char_f1"]) / 2
    return rounded(metrics[objective])
