"""Events of a step: JSON lines in its log file, one readable line each on standard error. Never the text of a post."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evidence_hpo.storage import storage_errors

__all__ = ["log_event", "log_path", "open_log"]


class _Log:
    """A file of whole lines, written without a buffer: a line that does not fit is not there at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb", buffering=0)

    def write(self, line: str) -> None:
        before = self._file.tell()
        rest = memoryview(line.encode("utf-8"))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise

    def close(self) -> None:
        self._file.close()


_log: _Log | None = None


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[None]:
    """Send the events of the block to ``path`` as well.

    Raises:
        StorageError: The disk is full.
    """
    global _log
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _log = _Log(path)
    try:
        yield
    finally:
        _close_log()


def _close_log() -> None:
    global _log
    if _log is not None:
        _log.close()
        _log = None


def log_path() -> Path | None:
    """Return the file that events go to, if there is one."""
    return None if _log is None else _log.path


def log_event(event: str, message: str, *, level: str = "info", **fields: Any) -> None:
    """Record an event.

    Args:
        event: Short name for machines, as ``trial_finished``.
        message: One line for people.
        level: ``info``, ``warning`` or ``error``.
        fields: JSON values.

    Raises:
        StorageError: The disk of the log file is full; further events go to standard error alone.
    """
    _say(message if level == "info" else f"{level}: {message}")
    if _log is not None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        record = {"time": now, "level": level, "event": event, "message": message, **fields}
        try:
            with storage_errors(_log.path):
                _log.write(json.dumps(record, ensure_ascii=False) + "\n")
        except Exception:
            _close_log()  # or the event that reports this error would fail as well
            raise


def _say(line: str) -> None:
    """Print a line for people; where standard error is a file on a full disk, the log file has to do."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        # What could not be written would be tried again at exit, and change the exit code.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
