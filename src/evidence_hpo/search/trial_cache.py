"""The trial cache: finished runs under their content keys, so that finished work is never redone.

``<root>/<2 hex>/<key>/`` holds ``record.json`` and, where weights were kept, ``model/``; while the run is under way
``resume/`` (its resume point), and always ``lock``. A record is written whole after the weights, and read with a
check: what is damaged is done again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from evidence_hpo.errors import DataError
from evidence_hpo.files import atomic_directory, digest_file, link_or_copy
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import read_artefact, write_artefact
from evidence_hpo.search.outcomes import Outcome

__all__ = ["LOCK", "WEIGHTS", "Finished", "TrialCache", "link_directory", "locked"]

WEIGHTS = "model.safetensors"
LOCK = "lock"
"""Name of the file in a run's folder that is locked while the run is under way; it always stays."""

_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Finished:
    """A finished run: its outcome and, where weights were kept, their folder and SHA-256."""

    outcome: Outcome
    model: Path | None = None
    model_sha256: str | None = None


class TrialCache:
    """The cache under one root folder; any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, key: str) -> Path:
        """Return the folder of a key."""
        return self.root / key[:2] / key

    def resume_folder(self, key: str) -> Path:
        """Return the folder of a run's resume point."""
        return self.folder(key) / "resume"

    def model_folder(self, key: str) -> Path:
        """Return the folder of a run's weights."""
        return self.folder(key) / "model"

    def lock(self, key: str, label: str, check: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
        """Hold the key: of two processes that want the same run, the second waits and then takes the record.

        Args:
            key: Content key.
            label: Name of the run in the message.
            check: Called while waiting; raises to give up.
        """
        return locked(self.folder(key), key, f"{label}: waits for another process that runs the same trial", check)

    def load(self, key: str, *, weights: bool) -> Finished | None:
        """Return the finished run of a key, or None if there is none that is whole.

        Args:
            key: Content key.
            weights: Whether the weights of a complete run must be there too.
        """
        path = self.folder(key) / "record.json"
        if not path.exists():
            return None
        try:
            record = read_artefact(path, "trial_cache")
            if record["key"] != key:
                raise DataError(f"{path}: holds another key")
            finished = self._finished(key, record)
        except (DataError, ValueError) as error:
            log_event("cache_damaged", f"{error}; it is ignored and the trial is run again", level="warning", key=key)
            return None
        return finished if finished.model or not weights or finished.outcome.state != "complete" else None

    def _finished(self, key: str, record: dict[str, object]) -> Finished:
        outcome = Outcome.model_validate(record["outcome"])
        expected = record["model_sha256"]
        if expected is None:
            return Finished(outcome)
        weights = self.model_folder(key) / WEIGHTS
        if digest_file(weights) != expected:
            raise DataError(f"{weights}: its SHA-256 is not the recorded one")
        return Finished(outcome, self.model_folder(key), str(expected))

    def store(self, key: str, outcome: Outcome, *, weights: bool = False) -> Finished:
        """Write the record of a finished run, then remove its resume points.

        Args:
            key: Content key.
            outcome: How the run ended.
            weights: Whether its weights must lie in the model folder; they may in any case.

        Raises:
            DataError: The weights are not there.
        """
        model = self.model_folder(key)
        sha256 = digest_file(model / WEIGHTS) if weights or (model / WEIGHTS).is_file() else None
        record = {"key": key, "outcome": outcome.model_dump(mode="json"), "model_sha256": sha256}
        write_artefact(self.folder(key) / "record.json", "trial_cache", record)
        self.remove_resume_points(key)
        return Finished(outcome, model if sha256 else None, sha256)

    def remove_resume_points(self, key: str) -> None:
        """Remove the resume points of a run that is finished."""
        shutil.rmtree(self.resume_folder(key), ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path, key: str, message: str, check: Callable[[], None]) -> Iterator[None]:
    """Hold the folder of a run; while another process does, say so and wait.

    The lock is the operating system's, so a killed process leaves none behind.

    Args:
        folder: The run's folder; it is made.
        key: Content key of the run.
        message: What is said.
        check: Called while waiting; raises to give up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log_event("trial_waits", message, key=key)
        while not lock.is_locked:
            check()
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=_WAIT_SECONDS)
    try:
        yield
    finally:
        lock.release()


def link_directory(source: Path | None, target: Path) -> None:
    """Make ``target`` a copy of ``source``: hard links where the file system allows, else copies. None: empty.

    Raises:
        DataError: The source is not there.
    """
    with atomic_directory(target) as temporary:
        for file in sorted(source.rglob("*")) if source else ():
            place = temporary / file.relative_to(source or file)
            if file.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            link_or_copy(file, place)
        if source and not any(temporary.iterdir()):
            raise DataError(f"{source}: no such folder")  # for a moment, while a twin puts its own in this place
