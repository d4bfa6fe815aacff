"""The files of a run under way (resume points, best weights), and the export of its best weights. No pickle."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import ConfigurationError, DataError, StorageError
from evidence_hpo.files import (
    atomic_directory,
    atomic_path,
    canonical_json,
    digest_file,
    digest_json,
    link_or_copy,
    read_json,
    write_json,
    write_text,
)
from evidence_hpo.training.retention import Kept, ResumePoint, TensorFile, Weights, best_weights, epoch_name, epoch_of
from evidence_hpo.training.spec import RunSpec

__all__ = ["Checkpoints", "Progress", "export_model", "lost_files", "optimizer_tensors", "restore_optimizer"]

_WEIGHT_FILES = {".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ckpt"}
_POINT = re.compile(r"epoch_(\d+)\.json")
_ROOM = 1.05
"""Free bytes that new files need, as a multiple of their size: the file system needs some for itself."""


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
        schedules: See ``RunResult``.
    """

    epoch: int = 0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    splits: int = 1
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    scaler: dict[str, Any] = field(default_factory=dict)
    schedules: list[list[int]] = field(default_factory=list)

    def follow(self, epochs: int) -> None:
        """Note that the learning rate follows the schedule of ``epochs`` epochs from here on.

        Raises:
            ConfigurationError: More epochs than these are finished.
        """
        if epochs < self.epoch:
            raise ConfigurationError(f"epochs: {epochs} is less than the {self.epoch} epochs that are finished")
        if epochs > self.epoch and (not self.schedules or self.schedules[-1][1] != epochs):
            earlier = [entry for entry in self.schedules if entry[0] < self.epoch]
            self.schedules = [*earlier, [self.epoch, epochs]]


class Checkpoints:
    """Resume points and best weights of one run, in a directory of their own.

    Weights are written once, as `epoch_005.safetensors`, by whoever needs them first: the best ones or a resume point.
    A resume point adds `epoch_005.optimizer.safetensors`, then `epoch_005.json`, which names all files that it needs
    with their SHA-256. So a process killed at any moment leaves the points before. A point that is damaged, or of
    another run, is reported and removed.

    What is kept follows the settings; on a small or full disk less is kept and a line reported, but never less than the
    newest resume point and the best weights. That never becomes part of the run's result.

    Where locks do not hold between machines, a twin may train the same run in the same directory. It keeps the same
    files, but at another moment: so what belongs to a later epoch than this process has reached is left alone.
    """

    def __init__(self, work: Path, key: str, settings: CheckpointSettings, report: Callable[[str], None]) -> None:
        self.work = work
        self.key = key
        self.settings = settings
        self.report = report
        self.kept = Kept()
        self._said: set[str] = set()

    @property
    def best(self) -> tuple[Weights, ...]:
        """The kept weights, best first."""
        return self.kept.best

    def latest(self) -> tuple[Progress, dict[str, Tensor], dict[str, Tensor]] | None:
        """Return progress, weights and optimiser state of the newest intact resume point of this run, or None."""
        found = [read for path in self._point_paths() if (read := self._read(path)) is not None]
        while found:
            point, progress = found[0]
            if all(map(self._is_intact, Kept((point,)).files().values())):
                best = tuple(weights for weights in point.best if self._is_intact(weights.file))
                self.kept = Kept(tuple(older for older, _ in found[: self.settings.keep_last_n]), best)
                break
            self.report(f"resume point ignored: {point.name}: its tensors are damaged")
            found.pop(0)
        self._remove_others(up_to=math.inf)
        if not found:
            return None
        return progress, load_file(self.work / point.model.name), load_file(self.work / point.optimizer.name)

    def offer(self, weights: Mapping[str, Tensor], epoch: float, step: int, score: float) -> None:
        """Keep the weights of an evaluation if they are among the best."""
        new = Weights(epoch=epoch, step=step, score=score, file=_planned(f"{epoch_name(epoch)}.safetensors", weights))
        best = best_weights((*self.best, new), self.settings.keep_best_k, self.settings.keep_best_k_max)
        if new not in best:
            return
        wanted = self._affordable(Kept(self.kept.points, best), new.file.size)
        if new not in wanted.best:
            return
        self.kept = replace(wanted, best=tuple(other for other in wanted.best if other != new))
        self._remove_others(new.file.name, up_to=epoch)
        written = new.model_copy(update={"file": self._write(new.file.name, weights)})
        self.kept = replace(wanted, best=tuple(written if other == new else other for other in wanted.best))

    def is_due(self, epoch: int) -> bool:
        """Return whether enough epochs have passed since the newest resume point."""
        last = self.kept.points[0].epoch if self.kept.points else 0
        return epoch - last >= self.settings.min_interval_epochs

    def save(
        self, progress: Progress, step: int, score: float, model: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]
    ) -> bool:
        """Write a resume point after a finished epoch, then remove what need not be kept.

        Returns whether it was written: not where the run's limit or the disk is too small for it.

        Args:
            progress: What is done so far.
            step: Optimiser steps so far.
            score: The objective after them.
            model: Weights.
            optimizer: State of the optimiser.
        """
        name = epoch_name(progress.epoch)
        shared = next((weights.file for weights in self.best if weights.step == step), None)
        point = ResumePoint(
            epoch=progress.epoch,
            step=step,
            score=score,
            model=shared or _planned(f"{name}.safetensors", model),
            optimizer=_planned(f"{name}.optimizer.safetensors", optimizer),
            best=self.best,
        )
        new_bytes = point.optimizer.size + (0 if shared else point.model.size)
        before = self.kept.points
        wanted = self._affordable(Kept((point, *before[: self.settings.keep_last_n - 1]), self.best), new_bytes)
        if wanted.size > self.settings.max_total_size_gb * 1e9:
            limit = f"training.checkpoints.max_total_size_gb {self.settings.max_total_size_gb:g}"
            self._say(f"no resume point is written: with the best weights it is larger than {limit}")
            return False
        # The newest point stays until the new one is whole, even if it is not wanted any more.
        self.kept = replace(wanted, points=before[: max(1, len(wanted.points) - 1)])
        self._remove_others(point.name, point.model.name, point.optimizer.name, up_to=progress.epoch)
        if shutil.disk_usage(self.work).free < new_bytes * _ROOM:
            self._say("no resume point is written: the disk has no room for it; an interruption costs more epochs")
            return False
        point = point.model_copy(
            update={
                "model": shared or self._write(point.model.name, model),
                "optimizer": self._write(point.optimizer.name, optimizer),
                "best": wanted.best,
            }
        )
        content = {"run": self.key, "point": point.model_dump(), "progress": dataclasses.asdict(progress)}
        write_text(self.work / point.name, canonical_json({"content": content, "digest": digest_json(content)}))
        self.kept = replace(wanted, points=(point, *wanted.points[1:]))
        self._remove_others(up_to=progress.epoch)
        return True

    def delete(self) -> None:
        """Remove everything that was kept, and the directory where nothing else lies in it."""
        for path in (*self.work.glob("epoch_*"), *self.work.glob(".epoch_*.tmp")):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.work.rmdir()
        self.kept = Kept()

    def _affordable(self, wanted: Kept, new_bytes: int) -> Kept:
        """Return what is left of ``wanted`` where the run's limit, or the disk for ``new_bytes``, is too small."""
        self.work.mkdir(parents=True, exist_ok=True)
        usage, limit = shutil.disk_usage(self.work), self.settings.max_total_size_gb
        low = usage.free < max(usage.total * self.settings.disk_space_threshold_percent / 100, new_bytes * _ROOM)
        kept, fewer = wanted, wanted.smaller()
        while (low or kept.size > limit * 1e9) and (next_one := next(fewer, None)) is not None:
            kept = next_one
        if kept != wanted:
            why = "the disk is nearly full" if low else f"the run's files would exceed {limit:g} GB"
            self._say(f"{why}: resume points kept: {len(kept.points)}, best weights kept: {len(kept.best)}")
        return kept

    def _say(self, line: str) -> None:
        if line not in self._said:  # once, not at each epoch
            self._said.add(line)
            self.report(line)

    def _write(self, name: str, tensors: Mapping[str, Tensor]) -> TensorFile:
        path = self.work / name
        with atomic_path(path) as temporary:
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, temporary)
        return TensorFile(name=name, sha256=digest_file(path), size=path.stat().st_size)

    def _remove_others(self, *more: str, up_to: float) -> None:
        """Remove the files of all epochs ``up_to`` one but those of what is kept, and ``more``.

        Resume points go before the tensors that they need.
        """
        needed = {*self.kept.files(), *(point.name for point in self.kept.points), *more}
        others = [
            path for path in self.work.glob("epoch_*") if path.name not in needed and epoch_of(path.name) <= up_to
        ]
        for path in sorted(others, key=lambda path: path.suffix != ".json"):
            path.unlink(missing_ok=True)

    def _point_paths(self) -> list[Path]:
        """Return the resume points' files, newest first."""
        numbers = {path: _POINT.fullmatch(path.name) for path in self.work.glob("epoch_*.json")}
        points = {path: int(found[1]) for path, found in numbers.items() if found}
        return sorted(points, key=lambda path: points[path], reverse=True)

    def _read(self, path: Path) -> tuple[ResumePoint, Progress] | None:
        try:
            saved = read_json(path)
            content = saved.get("content") if isinstance(saved, dict) else None
            if not isinstance(content, dict) or digest_json(content) != saved.get("digest"):
                raise DataError(f"{path.name}: damaged")
            if content["run"] != self.key:
                raise DataError(f"{path.name}: of another run")
        except DataError as error:
            self.report(f"resume point ignored: {error}")
            return None
        return ResumePoint.model_validate(content["point"]), Progress(**content["progress"])

    def _is_intact(self, file: TensorFile) -> bool:
        path = self.work / file.name
        return path.is_file() and digest_file(path) == file.sha256


def _planned(name: str, tensors: Mapping[str, Tensor]) -> TensorFile:
    """Return a file that is not written yet."""
    return TensorFile(name=name, sha256="", size=sum(tensor.nbytes for tensor in tensors.values()))


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


@contextlib.contextmanager
def lost_files(work: Path) -> Iterator[None]:
    """End the job where files of a run are gone from its directory: that is another process's doing, no failed run.

    Raises:
        StorageError: A file that the block needs in ``work`` is not there.
    """
    try:
        yield
    except Exception as error:
        if not _names_lost(error, work):
            raise
        raise StorageError(
            f"{work}: files of this run are gone; does another process train it too? Run again to continue"
        ) from error


def _names_lost(error: BaseException, work: Path) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        lost = isinstance(cause, FileNotFoundError) or "(os error 2)" in str(cause)  # as safetensors has it
        if lost and str(work) in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def export_model(directory: Path, checkpoints: Checkpoints, backbone: Path, spec: RunSpec) -> None:
    """Write the trained model with the best weights as a directory, whole or not at all.

    It holds the weights (`model.safetensors`), the encoder's configuration and tokeniser, and the run (`run.json`).
    Where several best weights are kept, `checkpoints/` holds each of them as `epoch_005.safetensors` with its epoch,
    step, score and SHA-256 in `epoch_005.json`.

    Raises:
        StorageError: The best weights are not those that were kept.
    """
    best = checkpoints.best
    with atomic_directory(directory) as temporary:
        for file in sorted(backbone.iterdir()):
            if file.is_file() and file.suffix not in _WEIGHT_FILES:
                shutil.copyfile(file, temporary / file.name)
        _export_weights(checkpoints.work, best[0], temporary / "model.safetensors")
        write_json(temporary / "run.json", spec.to_json())
        for weights in best if len(best) > 1 else ():
            path = temporary / "checkpoints" / f"{epoch_name(weights.epoch)}.json"
            described = weights.model_dump(exclude={"file"}) | {"objective": spec.objective, "best": weights is best[0]}
            write_json(path, described | {"sha256": weights.file.sha256, "size": weights.file.size})
            _export_weights(checkpoints.work, weights, path.with_suffix(".safetensors"))


def _export_weights(work: Path, weights: Weights, target: Path) -> None:
    link_or_copy(work / weights.file.name, target)
    if digest_file(target) != weights.file.sha256:
        raise StorageError(f"{work / weights.file.name}: was changed since it was written; run again to continue")
