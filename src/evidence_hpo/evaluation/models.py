"""The trained models: which seeds there are, what they predict, and whether their training's numbers come out again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.evaluation.intervals import rounded
from evidence_hpo.evaluation.predictions import Predictions
from evidence_hpo.evaluation.run_report import scores_of
from evidence_hpo.files import digest_file
from evidence_hpo.logs import log_event
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.training.inference import NonFinitePredictionError
from evidence_hpo.training.prediction import load_model, predict

__all__ = [
    "Caches",
    "FinalModel",
    "best_seed",
    "check_weights",
    "final_models",
    "open_caches",
    "predict_all",
    "predict_test",
    "refits_of",
    "validation_objective",
]

Caches = dict[str, dict[str, TokenCache]]
"""Split -> task -> token cache."""


@dataclass(frozen=True)
class FinalModel:
    """A trained model of the chosen configuration, refit or not: its folder and its record."""

    directory: Path
    record: Mapping[str, Any]

    @property
    def seed_index(self) -> int:
        """Which of the seeds of its role, from 0."""
        return int(self.record["seed_index"])


def final_models(directories: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> list[FinalModel]:
    """Return the models that were trained to the end, by seed.

    Raises:
        DataError: The lists do not match, or the records are of different configurations.
        TrainingError: No seed was trained to the end.
    """
    return _trained("final", directories, records)


def best_seed(models: Sequence[FinalModel]) -> FinalModel:
    """Return the final model with the best validation objective, the first of equals; never by the test split."""
    return min(models, key=lambda model: (-model.record["value"], model.seed_index))


def refits_of(
    directories: Sequence[Path], records: Sequence[Mapping[str, Any]], finals: Sequence[FinalModel]
) -> list[FinalModel]:
    """Return the refits that were trained to the end, by seed; none if there are no records.

    Raises:
        DataError: The lists do not match, or a refit is of another configuration than the final models.
        TrainingError: There are refits, but no seed was trained to the end.
    """
    models = _trained("refit", directories, records) if records or directories else []
    for model in models:
        _check_same(model, finals[0])
    return models


def _trained(role: str, directories: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> list[FinalModel]:
    if len(directories) != len(records):
        raise DataError(f"{len(directories)} models but {len(records)} records: each model needs its record")
    models = [FinalModel(*pair) for pair in zip(directories, records, strict=True) if pair[1]["state"] == "complete"]
    if not models:
        reasons = sorted({str(record["reason"]) for record in records})
        why = "; ".join(reasons[:3])
        remedy = (
            "; correct the cause and delete retrain/refit, or use retrain.refit_seeds: 0" if role == "refit" else ""
        )
        raise TrainingError(f"none of {len(records)} {role} seeds was trained to the end: {why}{remedy}")
    for model in models:
        _check_same(model, models[0])
    if len(models) < len(records):
        log_event("seeds_left_out", f"{len(records) - len(models)} of {len(records)} seeds failed", level="warning")
    return sorted(models, key=lambda model: model.seed_index)


def _check_same(model: FinalModel, other: FinalModel) -> None:
    if any(model.record[key] != other.record[key] for key in ("architecture", "parameters", "digests")):
        raise DataError(f"{model.directory}: is of another configuration than {other.directory}; retrain both")


def check_weights(model: FinalModel) -> None:
    """Check that a model's weights are those that its record names.

    Raises:
        DataError: They are not.
    """
    if digest_file(model.directory / "model.safetensors") != model.record["checkpoint"]["sha256"]:
        raise DataError(f"{model.directory}: the weights are not those of the run's record; retrain the seed")


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
        tables = _predict(model, caches, ("validation", "test"), runtime)
        for task, of_task in found.items():
            of_task[model.seed_index] = Predictions(tables["validation"][task], tables["test"][task])
        log_event("predicted", f"seed {model.seed_index}: predicted the validation and test splits")
    return found


def predict_test(
    models: Sequence[FinalModel], caches: Caches, runtime: RuntimeSettings
) -> dict[str, dict[int, pd.DataFrame]]:
    """Return the predictions of all refits for the test split, by task and seed.

    Their weights are checked against their records: a refit has no validation score that would come out again.

    Raises:
        DataError: The weights are others than the record says.
        TrainingError: A model's predictions are not finite.
    """
    found: dict[str, dict[int, pd.DataFrame]] = {task: {} for task in caches["test"]}
    for model in models:
        check_weights(model)
        tables = _predict(model, caches, ("test",), runtime)
        for task, of_task in found.items():
            of_task[model.seed_index] = tables["test"][task]
        log_event("predicted", f"refit seed {model.seed_index}: predicted the test split")
    return found


def _predict(
    model: FinalModel, caches: Caches, splits: Sequence[str], runtime: RuntimeSettings
) -> dict[str, dict[str, pd.DataFrame]]:
    try:
        loaded = load_model(model.directory)
        return {split: predict(loaded, caches[split], runtime) for split in splits}
    except NonFinitePredictionError as error:
        raise TrainingError(f"{model.directory}: predictions are not finite; retrain the configuration") from error


def validation_objective(predictions: Mapping[str, Predictions], objective: str) -> float:
    """Return the objective on the validation split at the thresholds of training, as the search computed it.

    Args:
        predictions: Predictions of one model by task.
        objective: Name of the metric.
    """
    return rounded(scores_of({task: one.validation for task, one in predictions.items()})[objective])
