"""What a study would need of the disk at its peak, part by part, each with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.graph import StudyGraph
from evidence_hpo.workload import weights_of

__all__ = ["DiskPart", "disk_parts"]

_RESUME_BYTES, _MODEL_BYTES = 12, 4
"""A weight in a resume point (with AdamW's two moments), and in a model, in float32."""


@dataclass(frozen=True)
class DiskPart:
    """One part of the peak."""

    what: str
    size: float
    """Bytes."""
    basis: str


def disk_parts(
    configuration: Configuration, root: Path, manifests: Mapping[str, Mapping[str, Any]], concurrent: int
) -> list[DiskPart]:
    """Return the parts of the peak.

    Args:
        configuration: The configuration.
        root: Folder of the study.
        manifests: Manifests of the encoders that are prepared.
        concurrent: Trials that run at once.
    """
    study = StudyGraph(configuration)
    names = sorted({name for architecture in study.architectures for name in study.backbones(architecture)})
    known = {name: weights_of(configuration.backbones[name], manifests.get(name, {})) for name in names}
    heaviest, (weights, basis) = max(known.items(), key=lambda item: item[1][0])
    encoders = 2 if "joint" in study.architectures else 1
    run = weights * encoders
    checkpoints, retrain = configuration.training.checkpoints, configuration.retrain
    points = concurrent * checkpoints.keep_last_n
    limit = concurrent * checkpoints.max_total_size_gb * 1e9
    kept = 1 + (checkpoints.keep_best_k if checkpoints.keep_best_k > 1 else 0)
    models = len(study.architectures) * (retrain.top_k * retrain.seeds + retrain.final_seeds)
    caches = root / "results" / "tokens"
    in_all = f"{run:,} weights of {heaviest}{', two encoders' if encoders == 2 else ''} ({basis})"
    return [
        DiskPart(
            "resume points",
            min(limit, float(points * run * _RESUME_BYTES)),
            f"12 bytes a weight x keep_last_n {checkpoints.keep_last_n} x {concurrent} trials at once; {in_all}",
        ),
        DiskPart(
            "retrained models",
            float(models * kept * run * _MODEL_BYTES),
            f"4 bytes a weight x {models} runs x {kept} kept (the trial cache shares their files)",
        ),
        DiskPart(
            "exported models",
            float(len(study.architectures) * run * _MODEL_BYTES),
            f"4 bytes a weight x {len(study.architectures)} architectures",
        ),
        DiskPart(
            "encoders",
            float(sum(count for count, _ in known.values()) * _MODEL_BYTES),
            f"4 bytes a weight of {', '.join(known)}",
        ),
        DiskPart("token caches", _size(caches), "as they are now" if caches.is_dir() else "not made yet: small"),
    ]


def _size(folder: Path) -> float:
    return float(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
