"""The content of ``evaluation.json``: all that is known about the chosen configuration of one architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evidence_hpo.config.evaluation import EvaluationSettings
from evidence_hpo.evaluation.assessment import Assessment, assess
from evidence_hpo.evaluation.candidates import Candidate, compare_candidates
from evidence_hpo.evaluation.floors import Floor
from evidence_hpo.evaluation.intervals import Resampler, rounded, score
from evidence_hpo.evaluation.models import FinalModel, validation_objective
from evidence_hpo.evaluation.predictions import Predictions, checked
from evidence_hpo.evaluation.refits import Refits, refit_section
from evidence_hpo.evaluation.scorers import CriteriaScorer, EvidenceScorer, Scorer

__all__ = ["REPLAY_TOLERANCE", "TaskInput", "assess_tasks", "candidate_comparison", "evaluation_artefact"]

REPLAY_TOLERANCE = 0.005
"""Largest difference of a replayed validation objective that counts as the same model."""

_SCORERS: dict[str, Any] = {"criteria": CriteriaScorer, "evidence": EvidenceScorer}

TaskInput = tuple[Mapping[int, Predictions], Sequence[Floor]]
"""Predictions of a task by seed, and its floors."""


def evaluation_artefact(
    chosen: Mapping[str, Any],
    models: Sequence[FinalModel],
    tasks: Mapping[str, TaskInput],
    digests: Mapping[str, Any],
    settings: EvaluationSettings,
    seed: int,
    refits: Refits | None = None,
) -> dict[str, Any]:
    """Return the content of ``evaluation.json``.

    Args:
        chosen: Content of ``chosen.json``.
        models: The final models.
        tasks: Predictions and floors by task.
        digests: Digests of what was evaluated and on what.
        settings: Settings of the evaluation.
        seed: Seed of the resamples.
        refits: The refits and their predictions; None: there are none.
    """
    assessments = assess_tasks(tasks, settings, seed, refits)
    described = [_described(model, tasks) for model in models]
    warnings = [warning for one in assessments.values() for warning in one.warnings]
    return {
        "study": chosen["study"],
        "architecture": chosen["architecture"],
        "split": "test",
        "confidence": settings.confidence,
        "bootstrap_repeats": settings.bootstrap_repeats,
        "seeds": [model.seed_index for model in models],
        "models": described,
        "configuration": _configuration(chosen, models[0].record),
        "tasks": {task: one.report for task, one in assessments.items()},
        "combined": _combined(assessments, settings.confidence),
        "refit": _refit(refits, assessments, settings.confidence) if refits else None,
        "candidates": candidate_comparison(chosen, settings.confidence),
        "warnings": [*warnings, *_replay_warnings(described)],
        "digests": dict(digests),
    }


def _described(model: FinalModel, tasks: Mapping[str, TaskInput]) -> dict[str, Any]:
    record = model.record
    predictions = {task: of_seeds[model.seed_index] for task, (of_seeds, _) in tasks.items()}
    return {
        "seed": model.seed_index,
        "training_seed": record["seed"],
        "value": rounded(record["value"]),
        "replayed_value": validation_objective(predictions, record["objective"]),
        "best_epoch": record["best_epoch"],
        "precision": record["precision"],
        "checkpoint": record["checkpoint"],
    }


def _configuration(chosen: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rank": chosen["chosen_rank"],
        "origin": chosen["configuration"]["origin"],
        "objective": record["objective"],
        "epochs": record["epochs"],
        "parameters": record["parameters"],
        "effective_batch_size": record["effective_batch_size"],
        "effective_learning_rate": record["effective_learning_rate"],
        "versions": record["versions"],
    }


def _replay_warnings(models: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a warning for each model that does not give the validation objective of its training again."""
    return [
        {
            "code": "not_reproduced",
            "task": None,
            "message": (
                f"The model of seed {model['seed']} gives a validation objective of {model['replayed_value']:.4f}; in "
                f"training it was {model['value']:.4f}."
            ),
        }
        for model in models
        if abs(model["replayed_value"] - model["value"]) > REPLAY_TOLERANCE
    ]


def assess_tasks(
    tasks: Mapping[str, TaskInput], settings: EvaluationSettings, seed: int, refits: Refits | None = None
) -> dict[str, Assessment]:
    """Assess all tasks on the same resamples of the test posts.

    Args:
        tasks: What is assessed, by task.
        settings: Repeats, level and headline thresholds.
        seed: Seed of the resamples.
        refits: The refits and their predictions; None: there are none.

    Raises:
        DataError: A model and the floors were given different examples.
    """
    checked_tasks = {name: _same_rows(name, *task) for name, task in sorted(tasks.items())}
    posts = [post for _, floors in checked_tasks.values() for post in floors[0].predictions.test["post_id"]]
    resampler = Resampler(posts, settings.bootstrap_repeats, seed)
    found = {}
    for name, (models, floors) in checked_tasks.items():
        scorer: Scorer = _SCORERS[name](resampler, floors[0].predictions.test)
        found[name] = assess(scorer, models, floors, settings, _refit_tests(name, refits, floors) if refits else None)
    return found


def _refit_tests(task: str, refits: Refits, floors: Sequence[Floor]) -> dict[int, pd.DataFrame]:
    """Return the refits' tables of a task in the order of the floors' rows."""
    wanted = floors[0].predictions.test["example_id"].tolist()
    return {seed: checked(one, task, wanted, f"refit, {task}, test split") for seed, one in refits.tests[task].items()}


def _refit(refits: Refits, assessments: Mapping[str, Assessment], confidence: float) -> dict[str, Any]:
    assessed = {name: one.refit for name, one in assessments.items() if one.refit}
    return refit_section(refits, assessed, {name: one.objective for name, one in assessments.items()}, confidence)


def _same_rows(task: str, models: Mapping[int, Predictions], floors: Sequence[Floor]) -> TaskInput:
    """Return the models' tables in the order of the floors' rows, which come from the examples themselves."""
    examples = floors[0].predictions

    def ordered(part: Predictions, split: str) -> pd.DataFrame:
        wanted = getattr(examples, split)["example_id"].tolist()
        return checked(getattr(part, split), task, wanted, f"{task}, {split} split")

    return {
        seed: Predictions(ordered(part, "validation"), ordered(part, "test")) for seed, part in models.items()
    }, floors


def _combined(assessments: Mapping[str, Assessment], confidence: float) -> dict[str, Any] | None:
    """Return the mean of both tasks' headline scores with its interval; None where there is one task only."""
    if len(assessments) < 2:
        return None
    draws = [assessment.objective for assessment in assessments.values()]
    return {"metric": "mean_macro_f1_char_f1", "score": score(sum(draws[1:], start=draws[0]) / len(draws), confidence)}


def candidate_comparison(chosen: Mapping[str, Any], confidence: float) -> dict[str, Any]:
    """Return the paired comparison of the retrained configurations on the validation objective.

    Args:
        chosen: Content of ``chosen.json``.
        confidence: Level of the intervals.
    """
    candidates = [
        Candidate(
            rank=one["rank"],
            values=[seed["value"] for seed in sorted(one["seeds"], key=lambda seed: seed["seed_index"])],
        )
        for one in chosen["configurations"]
        if one["mean"] is not None
    ]
    return {
        "split": "validation",
        "objective": chosen["objective"],
        "chosen_rank": chosen["chosen_rank"],
        "against": compare_candidates(chosen["chosen_rank"], candidates, confidence),
    }
