"""Brings the tracking store to what the files of a study say: each point once, none missing, whatever fails on the way.

A run is found again by its key, which it carries as a tag; a digest of everything that belongs to it is written after
all of it. So what is missing follows from the store alone: a sync that was killed, or two at once on two machines,
leave nothing that the next sync does not find. Of two runs with one key the senior is completed and the other deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from evidence_hpo import paths
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.errors import TrackingError
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import write_artefact
from evidence_hpo.tracking.events import Event, EventFiles
from evidence_hpo.tracking.results import Results
from evidence_hpo.tracking.retries import Gone
from evidence_hpo.tracking.runs import Point, TrackedRun
from evidence_hpo.tracking.store import DIGEST_TAG, PARENT_TAG, Store, StoredRun
from evidence_hpo.tracking.study import study_runs

__all__ = ["Synced", "Syncer"]

_ROUNDS = 5
_LOCK_SECONDS = 900.0
_CURRENT = "current."
"""Before the name of a parameter whose value has changed: the store keeps the first for ever."""


@dataclass
class Synced:
    """What a sync found and did.

    Attributes:
        store: The store, without credentials.
        experiment: Name of the experiment.
        study: Name of the study; None while there is none.
        runs: Runs that the store should hold.
        points: Their points.
        finished: Of the runs, those that have ended.
        written_runs: Runs that something was written of.
        written_points: Points that were written.
        deleted_runs: Second runs of a key that were deleted.
        pending_runs: Runs that are not certainly whole in the store.
        error: Why, if any are.
    """

    store: str
    experiment: str
    study: str | None = None
    runs: int = 0
    points: int = 0
    finished: int = 0
    written_runs: int = 0
    written_points: int = 0
    deleted_runs: int = 0
    pending_runs: int = 0
    error: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the study has ended and the store holds all of it."""
        return self.study is not None and self.pending_runs == 0 and self.finished == self.runs > 0


class Syncer:
    """Syncs one study, as often as it is asked.

    Args:
        root: Folder in which `results` lies.
        settings: Where the store is.
    """

    def __init__(self, root: Path, settings: TrackingSettings) -> None:
        self.root, self.settings = root, settings
        self._files, self._events = EventFiles(), list[Event]()
        self._store: Store | None = None
        self._stored: dict[str, list[StoredRun]] | None = None
        self._points: dict[str, dict[tuple[str, int], float]] = {}

    def sync(self) -> Synced:
        """Write what the store lacks; return what was done.

        Raises:
            TrackingError: The store did not answer, or refused; the state file says what is pending.
            StorageError: The disk of a local store is full.
        """
        with self._lock():
            return self._sync()

    def _lock(self) -> AcquireReturnProxy[FileLock]:
        path = self.root / Path(paths.TRACKING_STATE).with_name("lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            log_event("tracking_waits", "another sync of this study is running; waits for it")
            self._forget()
            try:
                return lock.acquire(timeout=_LOCK_SECONDS)
            except Timeout as error:
                raise TrackingError(f"{path}: another sync holds it for {_LOCK_SECONDS / 60:.0f} minutes") from error

    def _forget(self) -> None:
        """Look into the store again: somebody else has written, or a request failed."""
        self._stored = None
        self._points.clear()

    def _sync(self) -> Synced:
        self._events += self._files.read_folder(self.root / paths.EVENTS)
        results = Results(self.root, self._events)
        wanted = study_runs(results, artefacts=self.settings.artifacts)
        store = self._store_of(results.study_name or "")
        synced = Synced(store.shown, self.settings.experiment, results.study_name)
        synced.runs, synced.points = len(wanted), sum(len(run.points) for run in wanted)
        synced.finished = sum(run.state != "running" for run in wanted)
        synced.pending_runs = synced.runs
        try:
            self._write(store, wanted, synced)
        except Exception as error:
            self._forget()
            synced.error = str(error)
            raise
        finally:
            write_artefact(self.root / paths.TRACKING_STATE, "tracking_state", asdict(synced))
        return synced

    def _store_of(self, study: str) -> Store:
        if self._store is None or self._store.study != study:
            self._store = Store(self.settings, self.root, study)
            self._forget()
        return self._store

    def _write(self, store: Store, wanted: Sequence[TrackedRun], synced: Synced) -> None:
        """Write and look again until nothing is missing."""
        for _ in range(_ROUNDS):
            if not wanted:
                synced.pending_runs = 0
                return
            if self._stored is None:
                self._stored = {}
                for one in store.runs():
                    self._stored.setdefault(one.key, []).append(one)
            changed = self._write_round(store, wanted, synced)
            if not changed:
                synced.pending_runs = 0
                return
            self._stored = None
        raise TrackingError(f"{store.shown}: others change the same runs all the time; end them and sync again")

    def _write_round(self, store: Store, wanted: Sequence[TrackedRun], synced: Synced) -> bool:
        """Write what each run lacks; return whether something was written, so that it must be looked at again."""
        assert self._stored is not None
        ids: dict[str, str] = {}
        written = 0
        for run in wanted:
            parent = ids[run.parent] if run.parent else None
            found = sorted(self._stored.get(run.key, []), key=lambda one: (one.started, one.run_id))
            if len(found) == 1 and found[0].is_complete(run, parent):
                ids[run.key] = found[0].run_id
                continue
            try:
                ids[run.key] = self._write_run(store, run, parent, found[0] if found else None, synced)
            except Gone:  # deleted by a sync on another machine, which keeps the senior one
                self._points.pop(run.key, None)
                return True
            for second in found[1:]:
                store.delete(second.run_id)
                synced.deleted_runs += 1
            written += 1
            synced.written_runs += 1
            synced.pending_runs = len(wanted) - len(ids)
        return written > 0

    def _write_run(
        self, store: Store, run: TrackedRun, parent: str | None, stored: StoredRun | None, synced: Synced
    ) -> str:
        """Write a run, or what is missing of it; return its id."""
        if stored is not None and stored.tags.get(DIGEST_TAG) == run.digest:
            # All of it is there; only its state was not written yet, or its parent was deleted as a second one.
            store.add(stored.run_id, {}, (), self._tags(run, parent, stored))
            store.set_state(stored.run_id, run)
            return stored.run_id
        if stored is None:
            stored, is_new = store.create(run, parent)
            there: dict[tuple[str, int], float] = {} if is_new else self._read(store, run, stored)
        else:
            there = self._points.get(stored.run_id) or self._read(store, run, stored)
        self._points[stored.run_id] = there
        missing = [point for point in run.points if _is_missing(point, there)]
        for artefact in run.artefacts:
            store.send(stored.run_id, artefact)
        parameters = {name: value for name, value in run.parameters.items() if name not in stored.parameters}
        store.add(stored.run_id, parameters, missing, self._tags(run, parent, stored))
        there.update({(point.name, point.step): point.value for point in missing})
        store.set_state(stored.run_id, run)
        synced.written_points += len(missing)
        return stored.run_id

    def _read(self, store: Store, run: TrackedRun, stored: StoredRun) -> dict[tuple[str, int], float]:
        names = sorted({point.name for point in run.points})
        return {identity: values[-1][1] for identity, values in store.points(stored.run_id, names).items()}

    def _tags(self, run: TrackedRun, parent: str | None, stored: StoredRun) -> dict[str, str]:
        """Return the tags that differ, the digest last."""
        changed = {
            f"{_CURRENT}{name}": value
            for name, value in run.parameters.items()
            if stored.parameters.get(name, value) != value
        }
        wanted = {**run.tags, **changed, **({PARENT_TAG: parent} if parent else {})}
        differing = {name: value for name, value in wanted.items() if stored.tags.get(name) != value}
        return {**differing, DIGEST_TAG: run.digest}


def _is_missing(point: Point, there: Mapping[tuple[str, int], float]) -> bool:
    """Return whether a point is to be written: also one with another value, unless it measures the machine."""
    value = there.get((point.name, point.step))
    return value is None or (value != point.value and not point.name.startswith("system/"))
