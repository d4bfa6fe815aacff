"""The checkpoints on the disk: resume points of runs under way, weights of finished ones, and what they record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_json, read_json
from evidence_hpo.paths import WORK
from evidence_hpo.search.trial_cache import WEIGHTS
from evidence_hpo.training.retention import ResumePoint, epoch_name

__all__ = ["CheckpointFile", "checkpoints_in", "resume_points", "run_folders"]

_POINT = re.compile(r"epoch_\d+\.json")


@dataclass(frozen=True)
class CheckpointFile:
    """One checkpoint.

    Attributes:
        path: Its file; of a resume point the one that names its tensors.
        files: All its files.
        epoch: Epochs after which it was written; None: unknown.
        step: Optimiser steps; None: not recorded.
        score: The objective there.
        is_best: Whether it holds the best weights of its run.
        is_latest: Whether none of its run is later.
        retained: Whether the retention policy keeps it.
        metrics: Validation metrics there.
    """

    path: Path
    files: tuple[Path, ...]
    epoch: float | None
    step: int | None
    score: float | None
    is_best: bool
    is_latest: bool
    retained: bool
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.stat().st_size for file in self.files if file.is_file())


def run_folders(study: Path) -> list[Path]:
    """Return the folders of the runs of a study that may hold checkpoints: retrained models, then runs under way."""
    patterns = ("results/*/retrain/**/record.json", "results/runs/*/record.json")
    trained = (path.parent for pattern in patterns for path in study.glob(pattern))
    resumed = (path.parent for path in (study / WORK / "trials").glob("*/*/resume") if any(path.iterdir()))
    single = (path for path in (study / WORK / "runs").glob("*") if path.is_dir())
    return [*sorted(trained), *sorted(resumed), *sorted(single)]


def resume_points(folder: Path) -> list[tuple[ResumePoint, Sequence[Mapping[str, Any]]]]:
    """Return the intact resume points in a run's folder `resume`, newest first, each with its evaluations."""
    found = []
    for path in folder.glob("epoch_*.json"):
        if not _POINT.fullmatch(path.name):
            continue
        try:
            saved = read_json(path)
            content = saved["content"]
            if digest_json(content) != saved["digest"]:
                continue
            found.append((ResumePoint.model_validate(content["point"]), content["progress"]["evaluations"]))
        except (DataError, ValidationError, KeyError, TypeError):
            continue  # the run itself passes it over too, and says so
    return sorted(found, key=lambda one: one[0].epoch, reverse=True)


def checkpoints_in(folder: Path, settings: CheckpointSettings) -> list[CheckpointFile]:
    """Return the checkpoints of a run, by epoch: of `resume` while it is under way, of `model` once it is finished.

    Args:
        folder: Folder of a run in the trial cache, of a retrained seed, or of a run outside the search.
        settings: The retention policy.
    """
    # The resume points of a run outside the search lie in its folder itself, and stay when it is finished.
    found = [*_resumable(folder / "resume", settings), *_resumable(folder, settings), *_finished(folder, settings)]
    return sorted(found, key=lambda one: (one.epoch is None, one.epoch, one.path))


def _resumable(folder: Path, settings: CheckpointSettings) -> Iterable[CheckpointFile]:
    points = resume_points(folder)
    best = points[0][0].best if points else ()
    named = set()
    for place, (point, evaluations) in enumerate(points):
        files = (folder / point.name, folder / point.model.name, folder / point.optimizer.name)
        named.add(point.model.name)
        yield CheckpointFile(
            path=files[0],
            files=files,
            epoch=float(point.epoch),
            step=point.step,
            score=point.score,
            is_best=bool(best) and best[0].step == point.step,
            is_latest=place == 0,
            retained=place < settings.keep_last_n,
            metrics=_metrics_at(evaluations, float(point.epoch)),
        )
    for place, weights in enumerate(best):
        if weights.file.name not in named:
            path = folder / weights.file.name
            kept = place < settings.keep_best_k_max
            metrics = _metrics_at(points[0][1], weights.epoch)
            yield CheckpointFile(
                path, (path,), weights.epoch, weights.step, weights.score, place == 0, False, kept, metrics
            )


def _finished(folder: Path, settings: CheckpointSettings) -> Iterable[CheckpointFile]:
    record = _record(folder)
    evaluations = record.get("evaluations") or ()
    last = max((one["epoch"] for one in evaluations), default=None)
    described = [(path, _described(path)) for path in (folder / "model/checkpoints").glob("epoch_*.json")]
    ranked = sorted(described, key=lambda one: (-one[1]["score"], one[1]["epoch"]))
    for place, (path, weights) in enumerate(ranked):
        files = (path, path.with_name(f"{epoch_name(weights['epoch'])}.safetensors"))
        latest = weights["epoch"] == last
        kept = bool(weights["best"]) or place < settings.keep_best_k_max
        metrics = _metrics_at(evaluations, weights["epoch"])
        epoch, step, score = float(weights["epoch"]), weights["step"], weights["score"]
        yield CheckpointFile(files[1], files, epoch, step, score, bool(weights["best"]), latest, kept, metrics)
    model = folder / "model" / WEIGHTS
    if model.is_file():
        at = record.get("best_epoch")
        step = next((one["step"] for _, one in described if one["best"]), None)
        metrics, value = _metrics_at(evaluations, at), record.get("value")
        yield CheckpointFile(model, (model,), at, step, value, True, at == last, True, metrics)


def _record(folder: Path) -> Mapping[str, Any]:
    """Return the outcome of a finished run, from the trial cache or a retrained seed; empty without one."""
    try:
        record = read_json(folder / "record.json")
    except DataError:
        return {}
    found = record.get("outcome", record) if isinstance(record, dict) else {}
    return found if isinstance(found, dict) else {}


def _described(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not {"epoch", "step", "score", "best"} <= set(content):
        raise DataError(f"{path}: does not describe weights")
    return content


def _metrics_at(evaluations: Iterable[Mapping[str, Any]], epoch: float | None) -> Mapping[str, Any]:
    return next((one["metrics"] for one in evaluations if one["epoch"] == epoch), {})
