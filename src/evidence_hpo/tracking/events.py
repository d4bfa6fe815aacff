"""Events of runs: append-only files of JSON lines, written by the jobs and replayed into the tracking store.

A job that logs to ``results/logs/a/b.log`` writes its events to ``results/events/a/b.jsonl``. An event is one line,
appended by one system call, so a killed process leaves at most its last line torn, and that line is passed over. The
time of an event is part of it: replaying a file twice gives the same points.

Writing never raises: an event that cannot be written is one warning, and the run goes on.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence_hpo.logs import log_event, log_path
from evidence_hpo.storage import as_storage_error

__all__ = ["Event", "EventFiles", "EventListener", "append_event", "event_path", "first_of_each", "read_events"]


# --- writing -----------------------------------------------------------------------------------------------------


def event_path(log: Path) -> Path | None:
    """Return the event file of the job that logs to ``log``; None where the path has no part ``logs``."""
    parts = list(log.with_suffix(".jsonl").parts)
    if "logs" not in parts:
        return None
    parts[len(parts) - 1 - parts[::-1].index("logs")] = "events"
    return Path(*parts)


def append_event(path: Path, event: Mapping[str, Any]) -> None:
    """Append one event as one line; the line break that a killed writer left out is put before it.

    Raises:
        OSError: It cannot be written; at most a part of the line is there.
    """
    line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line
        if os.write(handle, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(handle)


class EventListener:
    """Writes what it hears of a job's runs to the event file of the job's log; see ``search.listening.RunListener``.

    It has no state of its own, so that worker processes, which have logs of their own, can be handed a copy.
    """

    def started(self, key: str, about: Mapping[str, Any]) -> None:
        """Write that a run begins, or is taken from the trial cache."""
        _emit("run_started", key, {"about": about})

    def observer(self, key: str, work: Path | None) -> _RunObserver:
        """Return what writes the points of a run; ``work`` holds its resume points."""
        return _RunObserver(key, work)

    def finished(self, key: str, result: Mapping[str, Any], artefacts: Sequence[Mapping[str, str]]) -> None:
        """Write how a run ended, and where the files lie that it leaves."""
        for artefact in artefacts:
            _emit("artefact", key, artefact)
        _emit("run_finished", key, {"result": result})


@dataclass
class _RunObserver:
    """Writes the points of one run; see ``training.observer.Observer``."""

    key: str
    work: Path | None

    def evaluated(self, evaluation: Mapping[str, Any], step: int) -> None:
        parts = {part: _finite(evaluation[part]) for part in ("train", "metrics")}
        _emit("metrics", self.key, {"epoch": float(evaluation["epoch"]), "step": step, **parts})

    def epoch_finished(self, epoch: int, seconds: float) -> None:
        try:
            values = {"epoch_duration_sec": round(seconds, 3), **_disk(self.work)}
        except OSError:  # the run itself says so where it matters
            values = {"epoch_duration_sec": round(seconds, 3)}
        _emit("system", self.key, {"epoch": float(epoch), "values": values})


def _finite(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {
        name: float(value) if value is not None and math.isfinite(value) else None for name, value in values.items()
    }


def _disk(work: Path | None) -> dict[str, float]:
    if work is None:
        return {}
    sizes = sum(entry.stat().st_size for entry in os.scandir(work) if entry.is_file())
    return {"checkpoint_size_mb": sizes / 1e6, "disk_free_gb": shutil.disk_usage(work).free / 1e9}


def _emit(kind: str, key: str, fields: Mapping[str, Any]) -> None:
    """Append an event to the job's file; whatever goes wrong is one warning."""
    try:
        log = log_path()
        path = event_path(log) if log else None
        if path is not None:
            append_event(path, {"event": kind, "time": time.time_ns() // 1_000_000, "key": key, **fields})
    except Exception as error:
        _warn(error, kind)


def _warn(error: Exception, kind: str) -> None:
    """Warn once a job of each fault; where the disk is full, not in the log, whose own error would end the run."""
    fault = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    line = f"an event ({kind}) cannot be written, the run goes on without it: {fault}"
    try:
        if as_storage_error(error) is None:
            log_event("event_lost", line, level="warning")
        else:
            print(f"warning: {line}", file=sys.stderr, flush=True)
    except Exception:  # nobody can be told
        return


# --- reading -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        kind: run_started, metrics, system, run_finished or artefact.
        time: Milliseconds since 1970, by the clock of the job's machine.
        key: Content key of the run.
        fields: The rest of the line.
        file: The event file.
        line: Number of the line, from 0; with ``file`` it orders events of equal times.
    """

    kind: str
    time: int
    key: str
    fields: Mapping[str, Any]
    file: str = ""
    line: int = 0


def read_events(path: Path) -> list[Event]:
    """Return the events of a file; a line that is torn, or no event, is passed over."""
    files = EventFiles()
    return list(files.read(path))


@dataclass
class EventFiles:
    """Event files that grow while they are read: each call gives what is new."""

    _offsets: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def read_folder(self, root: Path) -> Iterator[Event]:
        """Yield the new events of all event files below a folder, file by file."""
        for path in sorted(root.rglob("*.jsonl")):
            yield from self.read(path)

    def read(self, path: Path) -> Iterator[Event]:
        """Yield the new events of one file, up to its last line break."""
        offset, line = self._offsets.get(path, (0, 0))
        try:
            with path.open("rb") as content:
                if os.fstat(content.fileno()).st_size < offset:  # another file of the same name
                    offset, line = 0, 0
                content.seek(offset)
                read = content.read()
        except FileNotFoundError:
            return
        whole = read[: read.rfind(b"\n") + 1]
        rows = whole.split(b"\n")[:-1]
        self._offsets[path] = (offset + len(whole), line + len(rows))
        for number, row in enumerate(rows, start=line):
            event = _parsed(row, path, number)
            if event is not None:
                yield event


_FIELDS: dict[str, tuple[tuple[str, type], ...]] = {
    "run_started": (("about", dict),),
    "metrics": (("epoch", float), ("train", dict), ("metrics", dict)),
    "system": (("epoch", float), ("values", dict)),
    "run_finished": (("result", dict),),
    "artefact": (("path", str), ("sha256", str)),
}


def _parsed(row: bytes, path: Path, number: int) -> Event | None:
    """Return the event of a line; None if the line is none, as after a fault of the disk."""
    try:
        value = json.loads(row)
        kind, moment, key = value.pop("event"), value.pop("time"), value.pop("key")
        whole = all(isinstance(value[name], wanted) for name, wanted in _FIELDS[kind])
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    known = whole and isinstance(moment, int) and isinstance(key, str)
    return Event(kind, moment, key, value, path.as_posix(), number) if known else None


def first_of_each(events: Iterable[Event]) -> list[Event]:
    """Return events in the order of their times, each once: of all that tell of the same, the first.

    A job that runs again, a run that goes on from a resume point, and a twin on another machine tell of points that
    were told of before. Of ends the last counts: what failed may have run again.
    """
    found: dict[tuple[Any, ...], Event] = {}
    for event in sorted(events, key=lambda one: (one.time, one.file, one.line)):
        identity = _identity(event)
        if event.kind == "run_finished" or identity not in found:
            found[identity] = event
    return sorted(found.values(), key=lambda one: (one.time, one.file, one.line))


def _identity(event: Event) -> tuple[Any, ...]:
    if event.kind in ("metrics", "system"):
        return (event.key, event.kind, event.fields.get("epoch"))
    if event.kind == "artefact":
        return (event.key, event.kind, event.fields.get("path"))
    if event.kind == "run_started":  # one run may be needed at two places of a study
        return (event.key, event.kind, json.dumps(event.fields.get("about", {}).get("place"), sort_keys=True))
    return (event.key, event.kind)
