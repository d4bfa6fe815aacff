"""Step `evaluate`: the chosen configuration on the test split. The only step that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from evidence_hpo.config.evaluation import EvaluationSettings
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.artefact import evaluation_artefact
from evidence_hpo.evaluation.floors import Floor, floors_of
from evidence_hpo.evaluation.models import Caches, final_models, open_caches, predict_all, predict_test, refits_of
from evidence_hpo.evaluation.predictions import predictions_table
from evidence_hpo.evaluation.refits import Refits
from evidence_hpo.files import atomic_path, digest_file
from evidence_hpo.leases import take_card
from evidence_hpo.logs import log_event
from evidence_hpo.paths import TASKS
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.step import run_step


def evaluate(
    *,
    settings: EvaluationSettings,
    runtime: RuntimeSettings,
    architecture: str,
    seed: int,
    chosen: Path,
    models: list[Path],
    records: list[Path],
    refit_models: list[Path],
    refit_records: list[Path],
    validation_texts: list[Path],
    validation_rows: list[Path],
    test_texts: list[Path],
    test_rows: list[Path],
    train_examples: list[Path],
    validation_examples: list[Path],
    test_examples: list[Path],
    criteria: Path,
    evaluation: Path,
    predictions: Path,
) -> None:
    """Score the final models of one architecture and its floors on the test split.

    Args:
        settings: Intervals and headline thresholds.
        runtime: How the models predict.
        architecture: criteria, evidence, share or joint.
        seed: Seed of the resamples.
        chosen: ``chosen.json``.
        models: Folders of the final models, one a seed.
        records: Their ``record.json``, in the same order.
        refit_models: Folders of the refits, one a seed; none if there are none.
        refit_records: Their ``record.json``, in the same order.
        validation_texts: Text files of the validation split's token caches, of all encoders and tasks.
        validation_rows: Their example files, in the same order.
        test_texts: Text files of the test split's token caches, of all encoders and tasks.
        test_rows: Their example files, in the same order.
        train_examples: Training examples of each task of the architecture, criteria before evidence.
        validation_examples: Validation examples, in the same order.
        test_examples: Test examples, in the same order.
        criteria: ``criteria.json``.
        evaluation: ``evaluation.json`` to write.
        predictions: Parquet file of the predictions to write.
    """
    tasks = (architecture,) if architecture in TASKS else TASKS
    trained = final_models(models, [read_artefact(path, "retrain_record") for path in records])
    refitted = refits_of(refit_models, [read_artefact(path, "retrain_record") for path in refit_records], trained)
    files = {"validation": _pairs(validation_texts, validation_rows), "test": _pairs(test_texts, test_rows)}
    caches = open_caches(files, tasks, trained[0].record["digests"]["backbone"])
    if runtime.device != "cpu":
        take_card()
    predicted = predict_all(trained, caches, runtime)
    refits = Refits(refitted, predict_test(refitted, caches, runtime)) if refitted else None
    _write(predictions_table(predicted, refits.tests if refits else {}), predictions)
    examples = {"train": train_examples, "validation": validation_examples, "test": test_examples}
    inputs = {task: (predicted[task], _floors(task, number, examples, criteria)) for number, task in enumerate(tasks)}
    digests = {**_digests(trained[0].record["digests"], caches), "predictions": digest_file(predictions)}
    value = evaluation_artefact(read_artefact(chosen, "chosen"), trained, inputs, digests, settings, seed, refits)
    write_artefact(evaluation, "evaluation", value)
    _log(value)


def _write(table: pa.Table, path: Path) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _digests(origins: Mapping[str, Any], caches: Caches) -> dict[str, Any]:
    """Return the digests of what the models were trained from and what they are scored on."""
    scored_on = {split: {task: cache.digest for task, cache in found.items()} for split, found in caches.items()}
    return {**{key: origins[key] for key in ("backbone", "code", "train")}, **scored_on}


def _floors(task: str, number: int, examples: dict[str, list[Path]], criteria: Path) -> list[Floor]:
    tables = {split: pd.read_parquet(_nth(paths, number, split)) for split, paths in examples.items()}
    floors = floors_of(task, tables, read_artefact(criteria, "criteria"))
    log_event("floors", f"{task}: fitted the floors")
    return floors


def _log(evaluation: dict[str, Any]) -> None:
    for task, report in evaluation["tasks"].items():
        metric, score = report["headline"]["metric"], report["headline"]["score"]["mean"]
        log_event("evaluated", f"{evaluation['architecture']}, {task}: {metric} {score:.4f}")
    refit = evaluation["refit"]
    for task, report in refit["tasks"].items() if refit else ():
        metric, gap = report["headline"]["metric"], report["differences"][report["headline"]["metric"]]["mean"]
        log_event("refit_evaluated", f"{evaluation['architecture']}, {task}: {metric} of the refits {gap:+.4f}")
    for warning in [*evaluation["warnings"], *(refit["warnings"] if refit else ())]:
        log_event("warning", warning["message"], level="warning")


def _pairs(texts: list[Path], rows: list[Path]) -> list[tuple[Path, Path]]:
    if len(texts) != len(rows):
        raise DataError(f"{len(texts)} text files with {len(rows)} example files of token caches: they must match")
    return list(zip(texts, rows, strict=True))


def _nth(paths: list[Path], number: int, split: str) -> Path:
    if number >= len(paths):
        raise DataError(f"--{split}-examples: {len(paths)} files; one is needed for each task of the architecture")
    return paths[number]


if __name__ == "__main__":
    run_step(evaluate)
