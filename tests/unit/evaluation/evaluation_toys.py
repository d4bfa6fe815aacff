"""Small prediction tables, examples and artefacts for the tests of the evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evidence_hpo.config.evaluation import EvaluationSettings
from evidence_hpo.evaluation.assessment import Assessment, assess
from evidence_hpo.evaluation.floors import Floor
from evidence_hpo.evaluation.intervals import Resampler
from evidence_hpo.evaluation.models import FinalModel
from evidence_hpo.evaluation.predictions import Predictions
from evidence_hpo.evaluation.refits import Refits, refit_section
from evidence_hpo.evaluation.scorers import CriteriaScorer, EvidenceScorer

DIGEST = "0" * 64
SETTINGS = EvaluationSettings(bootstrap_repeats=200)


def criteria_table(posts: int = 40, *, skill: float = 3.0, seed: int = 0, labels_seed: int = 1) -> pd.DataFrame:
    """Three criteria a post; ``skill`` is how far the scores of the classes lie apart."""
    rows = posts * 3
    labels = (np.random.default_rng(labels_seed).random(rows) < 0.3).astype(np.int8)
    scores = np.random.default_rng(seed).normal(size=rows) + skill * (labels - 0.5)
    return pd.DataFrame(
        {
            "example_id": [f"e{number:04d}" for number in range(rows)],
            "post_id": [f"p{number // 3:03d}" for number in range(rows)],
            "criterion": ["A", "B", "C"] * posts,
            "label": labels,
            "probability": 1 / (1 + np.exp(-scores)),
        }
    )


def evidence_table(posts: int = 40, *, skill: float = 3.0, seed: int = 0) -> pd.DataFrame:
    table = criteria_table(posts, skill=skill, seed=seed)
    start = np.random.default_rng(5).integers(0, 100, len(table))
    shift = np.random.default_rng(seed).integers(0, 5, len(table))
    return table[["example_id", "post_id", "criterion"]].assign(
        gold=[[[int(at), int(at) + 20]] if label else [] for at, label in zip(start, table["label"], strict=True)],
        start=start + shift,
        end=start + shift + 20,
        span_score=np.log(table["probability"] / (1 - table["probability"])),
        null_score=0.0,
    )


TABLES = {"criteria": criteria_table, "evidence": evidence_table}
SCORERS: dict[str, Any] = {"criteria": CriteriaScorer, "evidence": EvidenceScorer}


def same(table: pd.DataFrame) -> Predictions:
    """Predictions that are equal on both splits."""
    return Predictions(table, table)


def constant_floor(task: str, posts: int = 40) -> Floor:
    """The floor that says no to everything."""
    table = TABLES[task](posts)
    silent = table.assign(probability=0.0) if task == "criteria" else table.assign(span_score=-1.0)
    return Floor("majority" if task == "criteria" else "always_null", "Always no.", same(silent))


def assessed(
    task: str, *, skill: float = 3.0, seeds: int = 2, posts: int = 40, refits: dict[int, pd.DataFrame] | None = None
) -> Assessment:
    models = {seed: same(TABLES[task](posts, skill=skill, seed=seed + 10)) for seed in range(seeds)}
    test = models[0].test
    scorer = SCORERS[task](Resampler(test["post_id"].tolist(), SETTINGS.bootstrap_repeats, 0), test)
    return assess(scorer, models, [constant_floor(task, posts)], SETTINGS, refits)


def refit_record(seed: int, architecture: str = "criteria") -> dict[str, Any]:
    """The parts of a refit's ``record.json`` that the evaluation reads."""
    checkpoint = {"path": f"results/{architecture}/retrain/refit/seed_{seed}/model", "sha256": DIGEST}
    numbers = {"seed_index": seed, "seed": 200 + seed, "epochs": 3, "refit_epochs": 2, "precision": "fp32"}
    return {"role": "refit", **numbers, "checkpoint": checkpoint}


def evaluation(
    architecture: str = "share", *, skill: float = 3.0, refits: int = 0, refit_skill: float = 4.0
) -> dict[str, Any]:
    """Content of an ``evaluation.json`` that fits its schema; with ``refits`` refits."""
    tasks = ("criteria", "evidence") if architecture == "share" else (architecture,)
    tests = {task: {seed: TABLES[task](skill=refit_skill, seed=seed + 30) for seed in range(refits)} for task in tasks}
    found = {task: assessed(task, skill=skill, refits=tests[task]) for task in tasks}
    models = [FinalModel(Path(f"refit_{seed}"), refit_record(seed, architecture)) for seed in range(refits)]
    parts = {task: one.refit for task, one in found.items() if one.refit}
    objectives = {task: one.objective for task, one in found.items()}
    against = {"rank": 1, "seeds": 2, "mean": 0.02, "sd": 0.01, "low": -0.07, "high": 0.11, "excludes_zero": False}
    return {
        "study": "toy",
        "architecture": architecture,
        "split": "test",
        "confidence": 0.95,
        "bootstrap_repeats": 200,
        "seeds": [0, 1],
        "models": [
            {
                "seed": seed,
                "training_seed": 100 + seed,
                "value": 0.8,
                "replayed_value": 0.8,
                "best_epoch": 3.0,
                "precision": "fp32",
                "checkpoint": {"path": f"results/{architecture}/retrain/final/seed_{seed}/model", "sha256": DIGEST},
            }
            for seed in (0, 1)
        ],
        "configuration": {
            "rank": 0,
            "origin": {"stage": "stage2", "number": 2},
            "objective": "macro_f1",
            "epochs": 3,
            "parameters": {"learning_rate": 1e-3},
            "effective_batch_size": 16,
            "effective_learning_rate": 5e-4,
            "versions": {"python": "3.11"},
        },
        "tasks": {task: one.report for task, one in found.items()},
        "combined": None,
        "refit": refit_section(Refits(models, tests), parts, objectives, 0.95) if refits else None,
        "candidates": {"split": "validation", "objective": "macro_f1", "chosen_rank": 0, "against": [against]},
        "warnings": [warning for one in found.values() for warning in one.warnings],
        "digests": {
            "backbone": DIGEST,
            "code": DIGEST,
            **{split: dict.fromkeys(tasks, DIGEST) for split in ("train", "validation", "test")},
            "predictions": DIGEST,
        },
    }


def retrain_summary(*architectures: str) -> dict[str, Any]:
    """The parts of ``retrain_summary.json`` that reports read."""
    origin = {"stage": "stage2", "number": 2}
    checkpoint = {"path": "results/share/retrain/final/seed_0/model", "sha256": DIGEST}
    one = {
        "objective": "macro_f1",
        "configurations": [{"rank": 0, "origin": origin, "search_value": 0.84, "mean": 0.81}],
        "chosen_rank": 0,
        "final": {"mean": 0.8, "standard_deviation": 0.01},
        "best_checkpoint": {**checkpoint, "seed_index": 0, "value": 0.8},
        "score_mean": 0.8,
        "score_std": 0.01,
        "adjusted": 0.799,
    }
    return {"study": "toy", "architectures": dict.fromkeys(architectures, one)}


def trials(stage: str, count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Trial records, as far as figures and summaries read them: the learning rate decides, the dropout does not."""
    generator = np.random.default_rng(seed)
    return [_trial(stage, number, generator) for number in range(count)]


def _trial(stage: str, number: int, generator: np.random.Generator) -> dict[str, Any]:
    rate = float(10 ** generator.uniform(-4, -2))
    value = 0.8 - 0.2 * abs(np.log10(rate) + 3) + 0.005 * float(generator.normal())
    state = "failed" if number == 3 else "pruned" if number == 4 else "complete"
    sampled: dict[str, Any] = {
        "learning_rate": rate,
        "dropout": float(generator.uniform(0, 0.3)),
        "pooling": ["cls", "mean"][number % 2],
        "head_layers": number % 3,
    }
    if number % 3:
        sampled["head_activation"] = "gelu"
    evaluations = [
        {"epoch": float(epoch), "train": {"loss": 1.0 / epoch}, "metrics": {"macro_f1": value - 0.1 / epoch}}
        for epoch in range(1, 2 if state == "pruned" else 4)
    ]
    return {
        "study": "toy",
        "architecture": "share",
        "stage": stage,
        "number": number,
        "key": f"{number:064x}",
        "state": state,
        "value": None if state == "failed" else value,
        "sampled": sampled,
        "evaluations": [] if state == "failed" else evaluations,
        "rungs": [{"epoch": 1.0, "threshold": 0.4 if number > 5 else None}],
        "objective": "macro_f1",
        "epochs": 3,
        "data_fraction": 0.5,
        "round": number // 8,
        "origin": None,
        "seed": 1000 + number,
        "best_epoch": None if state == "failed" else 3.0,
        "effective_batch_size": 16,
        "effective_learning_rate": rate / 2,
        "reason": {"failed": "non-finite loss", "pruned": "below 0.4"}.get(state),
        "duration_seconds": 1.5 + number,
        "versions": {"device": "cpu"},
    }


def stage_summary(
    stage: str, rows: list[dict[str, Any]], reruns: dict[str, Any] | None = None, shards: int = 2
) -> dict[str, Any]:
    """Summary of a stage whose rounds were divided into so many shards."""
    states = [row["state"] for row in rows]
    rounds = sorted({row["round"] for row in rows})
    durations = {number: [row["duration_seconds"] for row in rows if row["round"] == number] for number in rounds}
    return {
        "study": "toy",
        "architecture": "share",
        "stage": stage,
        "objective": "macro_f1",
        "trials": len(rows),
        "states": {state: states.count(state) for state in ("complete", "pruned", "failed")},
        "best": None,
        "epochs": {"full": 3.0 * len(rows), "spent": 2.0 * len(rows), "saved_by_pruning": 6.0},
        "failures": [],
        "reruns": reruns,
        "duration_seconds": 1.0,
        "timing": [
            {"round": number, "shards": [durations[number][shard::shards] for shard in range(shards)]}
            for number in rounds
        ],
    }


def reruns(pairs: int) -> dict[str, Any]:
    """Re-run trials of stage1, in reversed order of merit."""
    return {
        "stage_before": "stage1",
        "pairs": [
            {"number": n, "origin": 10 + n, "value": 0.8 - n / 100, "value_before": 0.6 + n / 100} for n in range(pairs)
        ],
        "spearman": -1.0 if pairs > 2 else None,
        "kendall": -1.0 if pairs > 2 else None,
        "note": f"rank correlation over {pairs} pairs",
    }


def chosen() -> dict[str, Any]:
    """The parts of ``chosen.json`` that the analysis reads."""
    origin = {"stage": "stage2", "number": 2}
    seeds = [{"seed_index": n, "seed": n, "state": "complete", "value": 0.8} for n in range(2)]
    failed = [{"seed_index": 0, "seed": 0, "state": "failed", "value": None}]
    return {
        "study": "toy",
        "architecture": "share",
        "objective": "macro_f1",
        "chosen_rank": 0,
        "configurations": [
            {"rank": 0, "origin": origin, "search_value": 0.84, "mean": 0.8, "optimism": 0.04, "seeds": seeds},
            {"rank": 1, "origin": origin, "search_value": 0.83, "mean": None, "optimism": None, "seeds": failed},
        ],
    }


def space(stage: str) -> dict[str, Any]:
    def number(name: str, kind: str, low: float, high: float, log: bool = False) -> dict[str, Any]:
        return {"name": name, "kind": kind, "low": low, "high": high, "log": log, "note": "toy"}

    return {
        "architecture": "share",
        "stage": stage,
        "source": "configured",
        "notes": [],
        "dimensions": [
            number("learning_rate", "float", 1e-3, 2e-3, True),  # narrower than what was tried
            number("dropout", "float", 0.0, 0.3),
            {"name": "pooling", "kind": "categorical", "choices": ["cls", "mean"], "note": "toy"},
            number("head_layers", "int", 0, 2),
            {"name": "head_activation", "kind": "categorical", "choices": ["gelu"], "note": "toy"},
        ],
    }
