"""The content of ``study_summary.json``: the study in one file, with ids that follow from its content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.intervals import rounded
from evidence_hpo.identifiers import identifier, trial_id

__all__ = ["TOP_TRIALS", "StageInput", "identifier", "study_summary", "trial_id"]

TOP_TRIALS = 10

StageInput = tuple[Mapping[str, Any], Sequence[Mapping[str, Any]], Mapping[str, Any]]
"""Summary and trial records of one stage, and its entry of ``search_analysis.json``."""


def study_summary(
    stages: Mapping[str, Sequence[StageInput]],
    retraining: Mapping[str, Any],
    report: Mapping[str, Any],
    report_path: str,
    evaluation_paths: Mapping[str, str],
) -> dict[str, Any]:
    """Return the summary.

    Args:
        stages: Architecture -> its stages in order.
        retraining: Content of ``retrain_summary.json``.
        report: Content of ``evaluation_report.json``.
        report_path: Its path, relative to the working directory.
        evaluation_paths: Architecture -> path of its ``evaluation.json``.

    Raises:
        DataError: An architecture is not in all of the files, or its last stage has no complete trial.
    """
    architectures = {}
    for name, of_name in sorted(stages.items()):
        for where, known in (("retrain summary", retraining), ("evaluation report", report)):
            if name not in known["architectures"]:
                raise DataError(f"{name}: is not in the {where}; run it again")
        architectures[name] = _architecture(
            of_name, retraining["architectures"][name], report["architectures"][name], evaluation_paths[name]
        )
    described = report["architectures"]
    keys = {name: [trial["key"] for _, trials, _ in of_name for trial in trials] for name, of_name in stages.items()}
    return {
        "report_id": identifier("report", report),
        "study_id": identifier("study", [report["study"], keys]),
        "study_name": report["study"],
        "report_file_path": report_path,
        "trials_count": sum(one["trials_count"] for one in architectures.values()),
        "architectures": architectures,
        "provenance": {
            "versions": described[min(described)]["reproducibility"]["versions"],
            "backbones": {name: one["reproducibility"]["digests"]["backbone"] for name, one in described.items()},
            "code": {name: one["reproducibility"]["digests"]["code"] for name, one in described.items()},
            "data": {
                name: {split: one["reproducibility"]["digests"][split] for split in ("train", "validation", "test")}
                for name, one in described.items()
            },
        },
    }


def _architecture(
    stages: Sequence[StageInput], retrained: Mapping[str, Any], report: Mapping[str, Any], path: str
) -> dict[str, Any]:
    top = sorted(_complete(stages[-1][1]), key=lambda trial: (-trial["value"], trial["number"]))[:TOP_TRIALS]
    if not top:
        raise DataError(f"{stages[-1][0]['architecture']}: the last stage has no complete trial")
    best = top[0]
    return {
        "best_trial_id": trial_id(best),
        "best_trial_number": best["number"],
        "best_trial_stage": best["stage"],
        "best_validation_score": rounded(best["value"]),
        "best_trial_report_path": path,
        "optimization_metric_name": best["objective"],
        "direction": "maximize",
        "trials_count": sum(len(trials) for _, trials, _ in stages),
        "top_trials": [
            {
                "trial_id": trial_id(trial),
                "number": trial["number"],
                "validation_score": rounded(trial["value"]),
                "state": "complete",
            }
            for trial in top
        ],
        "stages": [_stage(summary, analysis) for summary, _, analysis in stages],
        "chosen": _chosen(stages, retrained),
        "test_scores": {
            verdict["task"]: {
                "metric": verdict["metric"],
                **{key: verdict["score"][key] for key in ("mean", "low", "high")},
                "above_all_floors": verdict["above_all_floors"],
            }
            for verdict in report["verdicts"]
        },
    }


def _complete(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [trial for trial in trials if trial["state"] == "complete"]


def _stage(summary: Mapping[str, Any], analysis: Mapping[str, Any]) -> dict[str, Any]:
    importances = analysis["importances"]["fanova"]
    return {
        "stage": summary["stage"],
        "trials_count": summary["trials"],
        "states": summary["states"],
        "best_validation_score": rounded(summary["best"]["value"]) if summary["best"] else None,
        "epochs_spent": rounded(summary["epochs"]["spent"]),
        "epochs_full": rounded(summary["epochs"]["full"]),
        "rank_correlation_with_stage_before": summary["reruns"]["spearman"] if summary["reruns"] else None,
        "importances": importances["values"],
        "importances_note": importances["note"],
    }


def _chosen(stages: Sequence[StageInput], retrained: Mapping[str, Any]) -> dict[str, Any]:
    chosen = next(one for one in retrained["configurations"] if one["rank"] == retrained["chosen_rank"])
    origin = chosen["origin"]
    trial = next(
        trial
        for _, trials, _ in stages
        for trial in trials
        if trial["stage"] == origin["stage"] and trial["number"] == origin["number"]
    )
    return {
        "trial_id": trial_id(trial),
        "rank": chosen["rank"],
        "score_mean": retrained["score_mean"],
        "score_std": retrained["score_std"],
        "adjusted": retrained["adjusted"],
        "best_checkpoint": retrained["best_checkpoint"]["path"],
    }
