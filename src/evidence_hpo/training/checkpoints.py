"""Resume points of a run, and the export of its best weights. Safetensors and JSON; no pickle."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from evidence_hpo.errors import DataError
from evidence_hpo.files import (
    atomic_directory,
    atomic_path,
    canonical_json,
    digest_file,
    digest_json,
    read_json,
    write_json,
    write_text,
)
from evidence_hpo.training.spec import RunSpec

__all__ = ["Progress", "ResumePoints", "export_model", "optimizer_tensors", "restore_optimizer"]

_KEPT = 2
_WEIGHT_FILES = {".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ckpt"}


@dataclass
class Progress:
    """What a run has done so far, apart from its tensors.

    Random states are not part of it: every epoch seeds its generators afresh from the run's seed and its own number.
    Neither are the schedule's, the best score and early stopping: they follow from the step and the evaluations.

    Attributes:
        epoch: Finished epochs.
        evaluations: See ``RunResult``.
        splits: Parts into which each batch is cut, to fit into the GPU's memory.
        notes: Fallbacks taken.
        seconds: Seconds of work until here.
        scaler: State of the fp16 loss scaler; empty without one.
    """

    epoch: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    splits: int = 1
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    scaler: dict[str, Any] = field(default_factory=dict)


class ResumePoints:
    """The resume points of one run in a directory of their own; the last two are kept.

    The tensors of epoch E are written first, then the JSON that names them with their SHA-256, so that a process killed
    at any moment leaves the points before. A point that is damaged, or of another run, is reported and removed.
    """

    def __init__(self, work: Path, key: str, report: Callable[[str], None]) -> None:
        self.work = work
        self.key = key
        self.report = report

    def save(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Write a resume point, then remove all but the last two."""
        path = self.work / f"epoch_{progress.epoch:05d}.json"
        weights = path.with_suffix(".safetensors")
        with atomic_path(weights) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
        content = {"run": self.key, "tensors": digest_file(weights), "progress": dataclasses.asdict(progress)}
        write_text(path, canonical_json({"content": content, "digest": digest_json(content)}))
        for old in self._paths()[_KEPT:]:
            self._remove(old)

    def latest(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """Return the newest intact resume point of this run, or None."""
        for path in self._paths():
            try:
                content = self._checked(path)
                return Progress(**content["progress"]), load_file(path.with_suffix(".safetensors"))
            except DataError as error:
                self.report(f"resume point ignored: {error}")
                self._remove(path)  # or it could outlive the points of this run as one of the last two
        return None

    def delete(self) -> None:
        """Remove everything that was saved."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _remove(self, path: Path) -> None:
        path.unlink()
        path.with_suffix(".safetensors").unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self.work.glob("epoch_*.json"), reverse=True)

    def _checked(self, path: Path) -> dict[str, Any]:
        saved = read_json(path)
        content = saved.get("content") if isinstance(saved, dict) else None
        if not isinstance(content, dict) or digest_json(content) != saved.get("digest"):
            raise DataError(f"{path.name}: damaged")
        if content["run"] != self.key:
            raise DataError(f"{path.name}: of another run")
        if digest_file(path.with_suffix(".safetensors")) != content["tensors"]:
            raise DataError(f"{path.name}: its tensors are damaged")
        return content


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimiser as ``{"<number of the parameter>/<name>": tensor}``."""
    state = optimizer.state_dict()["state"]
    return {f"{number}/{name}": value for number, entry in state.items() for name, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` gave; copies, so that memory is aligned as in a run of one piece."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split("/", 1)
        state.setdefault(int(number), {})[name] = value.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def export_model(directory: Path, weights: Mapping[str, Tensor], backbone: Path, spec: RunSpec) -> None:
    """Write a trained model as a directory, whole or not at all.

    It holds all weights (`model.safetensors`), the encoder's configuration and tokeniser, and the run (`run.json`).
    """
    with atomic_directory(directory) as temporary:
        for file in sorted(backbone.iterdir()):
            if file.is_file() and file.suffix not in _WEIGHT_FILES:
                shutil.copyfile(file, temporary / file.name)
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary / "model.safetensors")
        write_json(temporary / "run.json", spec.to_json())
