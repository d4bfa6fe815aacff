"""The log of a whole study, ``results/logs/study.jsonl``: a JSON line for each event of a job and each finished trial.

Snakemake's logger plugin (`snakemake_logger_plugin_evidence_hpo`) tells it of the jobs; trials are read from the logs
of the jobs that run them, wherever these run. It copies names, states and numbers, never a message.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["StudyLog", "append_event", "read_events"]

_COPIED = ("key", "label", "state", "value")
_POLL_SECONDS = 1.0


def append_event(path: Path, event: str, **fields: Any) -> None:
    """Append an event; several processes may do so at once. A line that cannot be written is left out."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "event": event, **fields}, ensure_ascii=False) + "\n"
    with contextlib.suppress(OSError):  # on a full disk the steps say so; this log changes no result
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line.encode("utf-8"))
        finally:
            os.close(descriptor)


def read_events(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the whole events behind ``offset`` bytes, and the offset behind them; damaged lines are passed over."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return [], offset
    whole = content.rfind(b"\n") + 1
    return list(_parsed(content[:whole])), offset + whole


def _parsed(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event


class _FollowedLog:
    """The log of a running job.

    What an earlier run of the job left is passed over. A job that runs again, as after a requeue by SLURM, begins its
    log anew: then it is read from its start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._old = self._first_line()
        self._first = b""
        self._offset = 0

    def new_events(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the events since the last call, and whether they are of a log that replaced the one before."""
        if self._old is not None:
            if self._first_line() in (self._old, b""):
                return [], False
            self._old = None
        try:
            with self.path.open("rb") as file:
                anew = self._offset > 0 and file.readline() != self._first
                if anew:
                    self._offset = 0
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return [], False
        whole = content.rfind(b"\n") + 1
        if self._offset == 0:
            self._first = content[: content.find(b"\n") + 1]
        self._offset += whole
        return list(_parsed(content[:whole])), anew

    def _first_line(self) -> bytes | None:
        try:
            with self.path.open("rb") as file:
                return file.readline()
        except OSError:
            return None


class _Job:
    def __init__(self, rule: str, wildcards: Mapping[str, str], log: Path) -> None:
        self.described = {"rule": rule, **{key: wildcards[key] for key in sorted(wildcards)}}
        self.log = log
        self.started = time.monotonic()
        self.followed = _FollowedLog(log)
        self.error: str | None = None


class StudyLog:
    """Writes the log of one run of Snakemake, and follows the logs of its jobs until it is closed."""

    def __init__(self, path: Path, poll_seconds: float = _POLL_SECONDS) -> None:
        self.path = path
        self._jobs: dict[int, _Job] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._poll_seconds = poll_seconds
        self._thread = threading.Thread(target=self._follow, name="study-log", daemon=True)
        self._thread.start()

    def job_started(self, number: int, rule: str, wildcards: Mapping[str, str], log: Path) -> None:
        """Note that a job is started, or handed to a cluster."""
        with self._lock:
            job = self._jobs[number] = _Job(rule, wildcards, log)
        append_event(self.path, "job_started", job=number, **job.described, log=log.as_posix())

    def job_finished(self, number: int) -> None:
        """Note the success of a job."""
        job = self._take(number)
        if job is not None:
            append_event(self.path, "job_finished", job=number, **job.described, seconds=_seconds(job))

    def job_failed(self, number: int) -> None:
        """Note the failure of a job, with the class of its error where its log names one."""
        job = self._take(number)
        if job is not None:
            fields = {"error": job.error, "log": job.log.as_posix(), "seconds": _seconds(job)}
            append_event(self.path, "job_failed", job=number, **job.described, **fields)

    def progress(self, done: int, total: int) -> None:
        """Note how many of the jobs of this run are finished."""
        append_event(self.path, "progress", done=done, total=total)

    def close(self) -> None:
        """Stop to follow."""
        self._closed.set()
        self._thread.join()

    def _take(self, number: int) -> _Job | None:
        with self._lock:
            job = self._jobs.pop(number, None)
            if job is not None:
                self._copy(number, job)
            return job

    def _follow(self) -> None:
        while not self._closed.wait(self._poll_seconds):
            with self._lock:
                for number, job in self._jobs.items():
                    self._copy(number, job)

    def _copy(self, number: int, job: _Job) -> None:
        events, anew = job.followed.new_events()
        if anew:
            job.error = None
        for event in events:
            if event.get("event") == "trial_finished":
                fields = {key: event.get(key) for key in _COPIED}
                append_event(self.path, "trial_finished", job=number, **job.described, **fields)
            elif event.get("event") == "failed":
                job.error = str(event.get("error"))


def _seconds(job: _Job) -> float:
    return round(time.monotonic() - job.started, 3)
