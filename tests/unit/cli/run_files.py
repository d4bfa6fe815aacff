"""Files of runs where a study has them: resume points, cached runs, retrained models; used by these tests only."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.files import digest_file, write_json
from evidence_hpo.search.trial_cache import link_directory
from evidence_hpo.training.checkpoints import Checkpoints, Progress
from evidence_hpo.training.retention import epoch_name

BYTES = 40_000
ID = "0" * 8 + "-0000" * 3 + "-" + "0" * 12
DIGEST = "0" * 64
SUMMARY: dict[str, Any] = {
    "report_id": ID,
    "study_id": ID,
    "study_name": "test",
    "report_file_path": "results/evaluation_report.json",
    "trials_count": 26,
    "architectures": {
        "criteria": {
            "best_trial_id": ID,
            "best_trial_number": 1,
            "best_trial_report_path": "results/criteria/evaluation/evaluation.json",
            "best_trial_stage": "stage2",
            "best_validation_score": 0.8,
            "optimization_metric_name": "macro_f1",
            "direction": "maximize",
            "trials_count": 26,
            "top_trials": [{"trial_id": ID, "number": 1, "validation_score": 0.8, "state": "complete"}],
            "stages": [
                {
                    "stage": "stage2",
                    "trials_count": 26,
                    "states": {"complete": 26, "failed": 0, "pruned": 0},
                    "best_validation_score": 0.8,
                    "epochs_spent": 4.0,
                    "epochs_full": 4.0,
                    "rank_correlation_with_stage_before": None,
                    "importances": {},
                    "importances_note": "too few",
                }
            ],
            "chosen": {
                "trial_id": ID,
                "rank": 0,
                "score_mean": 0.8,
                "score_std": None,
                "adjusted": 0.8,
                "best_checkpoint": "results/criteria/retrain/final/seed_0/model",
            },
            "test_scores": {
                "criteria": {"metric": "macro_f1", "mean": 0.8, "low": 0.7, "high": 0.9, "above_all_floors": True}
            },
        }
    },
    "provenance": {
        "versions": {"python": "3.11"},
        "backbones": {"criteria": DIGEST},
        "code": {"criteria": DIGEST},
        "data": {"criteria": {split: {"criteria": DIGEST} for split in ("train", "validation", "test")}},
    },
}


def tensors(value: float, count: int = BYTES // 4) -> dict[str, Tensor]:
    return {"weight": torch.full((count,), float(value))}


def key_of(number: int) -> str:
    return f"{number:064x}"


def cached(root: Path, key: str) -> Path:
    folder = root / "results/work/trials" / key[:2] / key
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def interrupted_run(root: Path, key: str, scores: list[float], **settings: Any) -> Path:
    """Leave a run under way with these validation scores, one an epoch; return its folder."""
    values = {"disk_space_threshold_percent": 0.0, "keep_last_n": 5, "keep_best_k": 1, **settings}
    folder = cached(root, key)
    files = Checkpoints(folder / "resume", key, CheckpointSettings(**values), lambda _: None)
    for epoch, score in enumerate(scores, start=1):
        files.offer(tensors(epoch), epoch, 10 * epoch, score)
        done = [{"epoch": float(n), "metrics": {"macro_f1": scores[n - 1]}} for n in range(1, epoch + 1)]
        moments = {"0/moment": tensors(0.0, BYTES // 2)["weight"]}
        progress = Progress(epoch=epoch, evaluations=done)
        assert files.save(progress, 10 * epoch, score, tensors(epoch), moments)
    (folder / "lock").touch()
    return folder


def finished_run(root: Path, key: str, scores: list[float] | None = None) -> Path:
    """Leave a finished run in the trial cache, with the weights of its epochs where scores are given."""
    folder = cached(root, key)
    outcome: dict[str, Any] = {"state": "complete", "value": 0.5, "best_epoch": 1.0, "evaluations": []}
    if scores is not None:
        best = max(range(len(scores)), key=lambda place: scores[place])
        outcome |= {"value": scores[best], "best_epoch": float(best + 1)}
        outcome["evaluations"] = [
            {"epoch": float(place + 1), "metrics": {"macro_f1": score}} for place, score in enumerate(scores)
        ]
        _write_model(folder / "model", scores, best)
    write_json(folder / "record.json", {"key": key, "outcome": outcome, "model_sha256": None})
    (folder / "lock").touch()
    return folder


def _write_model(model: Path, scores: list[float], best: int) -> None:
    from safetensors.torch import save_file

    (model / "checkpoints").mkdir(parents=True)
    for place, score in enumerate(scores):
        epoch = place + 1
        weights = model / "checkpoints" / f"{epoch_name(epoch)}.safetensors"
        save_file(tensors(epoch), weights)
        described = {"epoch": float(epoch), "step": 10 * epoch, "score": score, "best": place == best}
        write_json(weights.with_suffix(".json"), described)
    (model / "model.safetensors").hardlink_to(model / "checkpoints" / f"{epoch_name(best + 1)}.safetensors")


def retrained_run(root: Path, key: str, place: str, scores: list[float]) -> Path:
    """Leave a retrained model whose files the trial cache shares, as ``rank_0/seed_0``; return its folder."""
    run = finished_run(root, key, scores)
    folder = root / "results/criteria/retrain" / place
    link_directory(run / "model", folder / "model")
    best = max(range(len(scores)), key=lambda one: scores[one])
    evaluations = [{"epoch": float(n + 1), "metrics": {"macro_f1": score}} for n, score in enumerate(scores)]
    sha256 = digest_file(folder / "model/model.safetensors")
    record = {
        "key": key,
        "value": scores[best],
        "best_epoch": float(best + 1),
        "evaluations": evaluations,
        "checkpoint": {"path": f"results/criteria/retrain/{place}/model", "sha256": sha256},
    }
    write_json(folder / "record.json", record)
    return folder


def complete_study(root: Path) -> None:
    """Write the summary that a study ends with."""
    write_json(root / "results/study_summary.json", SUMMARY)


def files_below(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def used_bytes(root: Path) -> int:
    """Return the bytes of all files, each inode once."""
    inodes = {(stat.st_dev, stat.st_ino): stat.st_size for stat in (p.stat() for p in root.rglob("*") if p.is_file())}
    return sum(inodes.values())


def remove(folder: Path) -> None:
    shutil.rmtree(folder)
